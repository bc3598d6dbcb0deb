"""SAC as an algorithm of a population."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iq_acme import acting, fields
from iq_acme.baselines.sac import policy_file, update
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.baselines.sac.networks import make_assess, make_networks
from iq_acme.population.algorithm import Algorithm, Family, Metrics
from iq_acme.transitions import Transition


class SACNumbers(NamedTuple):
  """The fields of `SACHyperparameters` that change numbers alone, not the program."""

  discount: Any
  learning_rate: Any
  target_update_rate: Any


def numbers_of(config: SACHyperparameters) -> SACNumbers:
  """Returns a member's numbers."""
  return SACNumbers(*(getattr(config, name) for name in SACNumbers._fields))


def program_of(config: SACHyperparameters) -> dict[str, Any]:
  """Returns what makes the program: all but the numbers."""
  program = dataclasses.asdict(config)
  return {k: value for k, value in program.items() if k not in SACNumbers._fields}


def make(configs: Sequence[SACHyperparameters], environment_spec: Any) -> Algorithm:
  """Makes the one algorithm of configurations that share a program.

  Args:
    configs: of all members.
    environment_spec: the environment's specs.
  """
  config = configs[0]
  networks = make_networks(environment_spec, config)
  behave = acting.make_behavior_policy(networks)
  evaluate = acting.make_evaluation_policies(networks)
  assess = make_assess(networks)

  def member_config(numbers: SACNumbers) -> SACHyperparameters:
    values = {name: jnp.asarray(value) for name, value in numbers._asdict().items()}
    return fields.with_numbers(config, values)

  def variables(state: update.TrainingState, exploring: Any) -> acting.ActingVariables:
    return acting.ActingVariables(state.policy_params, state.normalizer, exploring)

  def init(key: jax.Array, numbers: SACNumbers) -> update.TrainingState:
    return update.init_state(key, networks, member_config(numbers))

  def sgd_step(
    state: update.TrainingState, transitions: Transition, numbers: SACNumbers
  ) -> tuple[update.TrainingState, Metrics]:
    return update.sgd_step(
      state, transitions, networks=networks, config=member_config(numbers)
    )

  def act(
    state: update.TrainingState,
    key: jax.Array,
    observation: Any,
    exploring: Any,
    deterministic: bool,
  ) -> jax.Array:
    policy = evaluate[True] if deterministic else behave
    action, _ = policy(variables(state, exploring), key, observation)
    return action

  def assess_state(state: update.TrainingState, observations: Any) -> Metrics:
    return assess((variables(state, False), state.q_params), observations)

  def save_policy(
    path: str,
    state: update.TrainingState,
    config: SACHyperparameters,
    metadata: Mapping[str, Any],
  ) -> None:
    policy_file.save_policy(
      path, variables(state, False), environment_spec, config, metadata
    )

  return Algorithm(init, sgd_step, act, assess_state, save_policy)


FAMILY = Family(numbers_of, program_of, make)
