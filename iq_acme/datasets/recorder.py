"""Records what an actor lives through, as the arrays of a file of transitions."""

from typing import Any

import dm_env
import jax
import numpy as np

from iq_acme.datasets.checks import named_leaves
from iq_acme.datasets.npz_files import LAST
from iq_acme.episodes import Actor
from iq_acme.transitions import Transition


class Recorder(Actor):
  """An actor that acts as another one, and keeps every step."""

  def __init__(self, actor: Actor):
    """Begins before the first episode.

    Args:
      actor: chooses the actions.
    """
    self._actor = actor
    self._steps: list[Transition] = []
    self._last: list[bool] = []
    self._observation: Any = None

  def select_action(self, observation: Any) -> Any:
    return self._actor.select_action(observation)

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    self._observation = jax.tree.map(np.array, timestep.observation)
    self._actor.observe_first(timestep)

  def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
    # Copies, for environments may write the next observation over this one.
    reached = jax.tree.map(np.array, next_timestep.observation)
    self._steps.append(
      Transition(
        self._observation,
        np.array(action),
        np.float32(next_timestep.reward),
        np.float32(next_timestep.discount),
        reached,
      )
    )
    self._last.append(next_timestep.last())
    self._observation = reached
    self._actor.observe(action, next_timestep)

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns all steps so far, at least one, as arrays [N, ...] by name."""
    columns = zip(*(map(np.asarray, jax.tree.leaves(step)) for step in self._steps))
    names = [name for name, _ in named_leaves(self._steps[0])]
    arrays = {name: np.stack(column) for name, column in zip(names, columns)}
    return {**arrays, LAST: np.array(self._last)}
