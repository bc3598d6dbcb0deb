"""What a population can train: pure functions of one member, which the engine vmaps.

Shapes: B batch, D action dimensions.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

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
    act: (state, key, observation [...], exploring, deterministic) -> action [D], in the
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
