"""IQ, M-IQ, (Trust-)PCL and their Gaussian ablations as algorithms of a population."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from iq_acme import acting, critics, fields, policy_io, update
from iq_acme.config import Hyperparameters, IQConfig
from iq_acme.networks import make_networks
from iq_acme.population.algorithm import Algorithm, Family, Metrics
from iq_acme.transitions import Transition


def numbers_of(config: IQConfig) -> Hyperparameters:
  """Returns a member's numbers."""
  return Hyperparameters(*(getattr(config, name) for name in Hyperparameters._fields))


def program_of(config: IQConfig) -> dict[str, Any]:
  """Returns what makes the program: all but the numbers, and which of them there are."""
  program = dataclasses.asdict(config)
  for name, value in numbers_of(config)._asdict().items():
    program[name] = value is not None
  if config.scale_logits_by_temperature:  # The policy's networks close over it.
    program['temperature'] = config.temperature
  return program


def make(configs: Sequence[IQConfig], environment_spec: Any) -> Algorithm:
  """Makes the one algorithm of configurations that share a program.

  Args:
    configs: of all members.
    environment_spec: the environment's specs.
  """
  # With a coefficient of 0 for all, the update leaves the Munchausen term out.
  config = max(configs, key=lambda config: config.munchausen_coefficient)
  pays_munchausen = config.munchausen_coefficient > 0
  networks = make_networks(environment_spec, config)
  behave = acting.make_behavior_policy(networks)
  evaluate = acting.make_evaluation_policies(networks)
  assess = critics.make_assess(networks)

  def member_config(numbers: Hyperparameters) -> IQConfig:
    values = {
      name: jnp.asarray(value)
      for name, value in numbers._asdict().items()
      if value is not None and (name != 'munchausen_coefficient' or pays_munchausen)
    }
    return fields.with_numbers(config, values)

  def variables(state: update.TrainingState, exploring: Any) -> acting.ActingVariables:
    return acting.ActingVariables(state.params.policy, state.normalizer, exploring)

  def init(key: jax.Array, numbers: Hyperparameters) -> update.TrainingState:
    return update.init_state(key, networks, member_config(numbers))

  def sgd_step(
    state: update.TrainingState, transitions: Transition, numbers: Hyperparameters
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
    return assess((variables(state, False), state.params.value), observations)

  def save_policy(
    path: str,
    state: update.TrainingState,
    config: IQConfig,
    metadata: Mapping[str, Any],
  ) -> None:
    policy_io.save_policy(
      path, variables(state, False), environment_spec, config, dict(metadata)
    )

  return Algorithm(
    init, sgd_step, act, assess_state, save_policy, update.MINIMUM_METRICS
  )


FAMILY = Family(numbers_of, program_of, make)
