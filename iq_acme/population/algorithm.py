"""What a population can train: pure functions of one member, which the engine vmaps.

Shapes: B batch, D action dimensions.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iq_acme import acting, fields
from iq_acme.transitions import Transition

State = Any  # A nest of arrays.
Numbers = Any  # A NamedTuple of floats, some of them None.
Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Algorithm:
  """One program: an algorithm whose members differ in numbers and seeds alone.

  Attributes:
    init: (key, numbers) -> the state before the first SGD step.
    sgd_step: (state, transitions [B, ...], numbers) -> (state, metrics). The metrics are
      scalars; one that is not finite stops its member, so the gradient's norm is one.
    act: (state, key, observation [...], exploring, deterministic) -> action, in the
      environment's units. `exploring`, a bool array, takes uniform actions; where
      `deterministic`, a Python bool, the action is the policy's mode.
    assess: (state, observations [B, ...]) -> values by name, each [B]: what the member
      expects of states, 'value' at least; see `critics.Critic`.
    save_policy: (path, state, member's configuration, metadata) writes one file, which
      `python -m iq_acme evaluate` reads.
    minimum_metrics: names of metrics that keep their minimum over SGD steps, not their
      mean.
  """

  init: Callable[[jax.Array, Numbers], State]
  sgd_step: Callable[[State, Transition, Numbers], tuple[State, Metrics]]
  act: Callable[[State, jax.Array, Any, Any, bool], jax.Array]
  assess: Callable[[State, Any], Mapping[str, jax.Array]]
  save_policy: Callable[[str, State, Any, Mapping[str, Any]], None]
  minimum_metrics: tuple[str, ...] = ()


class Family(NamedTuple):
  """How configurations of one class become algorithms.

  Attributes:
    numbers: (configuration) -> a member's numbers, Python floats.
    program: (configuration) -> JSON of what makes its program: configurations that are
      alike in it share one.
    make: (configurations, environment spec) -> the one algorithm of configurations that
      share a program.
  """

  numbers: Callable[[Any], Numbers]
  program: Callable[[Any], dict[str, Any]]
  make: Callable[[Sequence[Any], Any], Algorithm]


def make_algorithm(
  networks: Any,
  config: Any,
  *,
  init_state: Callable[..., State],
  sgd_step: Callable[..., tuple[State, Metrics]],
  policy_params: Callable[[State], Any],
  critic_params: Callable[[State], Any],
  assess: Callable[[Any, Any], Mapping[str, jax.Array]],
  save_policy: Callable[..., None],
  fixed: Sequence[str] = (),
  minimum_metrics: tuple[str, ...] = (),
) -> Algorithm:
  """Makes an algorithm of an update that takes a configuration, as a single run's does.

  Args:
    networks: what acts: they have a `policy`.
    config: a member's configuration, of which members' numbers take the place.
    init_state: (key, networks, config) -> a state with a `normalizer`.
    sgd_step: (state, transitions, networks=, config=) -> (state, metrics).
    policy_params: of a state.
    critic_params: of a state.
    assess: ((acting variables, critic's parameters), observations) -> values by name.
    save_policy: (path, acting variables, configuration, metadata) writes a file.
    fixed: numbers that are the configuration's own for all members.
    minimum_metrics: see `Algorithm`.
  """
  behave = acting.make_behavior_policy(networks)
  evaluate = acting.make_evaluation_policies(networks)

  def member_config(numbers: Numbers) -> Any:
    values = {
      name: jnp.asarray(value)
      for name, value in numbers._asdict().items()
      if value is not None and name not in fixed
    }
    return fields.with_numbers(config, values)

  def variables(state: State, exploring: Any = False) -> acting.ActingVariables:
    return acting.ActingVariables(policy_params(state), state.normalizer, exploring)

  def act(
    state: State, key: jax.Array, observation: Any, exploring: Any, deterministic: bool
  ) -> jax.Array:
    policy = evaluate[True] if deterministic else behave
    action, _ = policy(variables(state, exploring), key, observation)
    return action

  return Algorithm(
    init=lambda key, numbers: init_state(key, networks, member_config(numbers)),
    sgd_step=lambda state, transitions, numbers: sgd_step(
      state, transitions, networks=networks, config=member_config(numbers)
    ),
    act=act,
    assess=lambda state, observations: assess(
      (variables(state), critic_params(state)), observations
    ),
    save_policy=lambda path, state, config, metadata: save_policy(
      path, variables(state), config, metadata
    ),
    minimum_metrics=minimum_metrics,
  )
