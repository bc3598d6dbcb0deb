"""Environment steps, one after the other, and the episodes that they make."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import dm_env
import numpy as np


class Actor(Protocol):
  """The part of Acme's `Actor` that an evaluation uses."""

  def select_action(self, observation: Any) -> Any:
    """Returns the action for an observation."""

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    """Takes the first time step of an episode."""

  def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
    """Takes a later time step, and the action that led to it."""


@dataclasses.dataclass(frozen=True)
class Episode:
  """One finished episode.

  Attributes:
    episode_return: undiscounted sum of rewards.
    length: environment steps.
    metrics: what the environment counts besides, such as success.
  """

  episode_return: float
  length: int
  metrics: dict[str, float]


class EnvironmentStepper:
  """Takes steps in one environment, and begins an episode if the last one has ended."""

  def __init__(
    self,
    environment: dm_env.Environment,
    on_timestep: Callable[[], None] = lambda: None,
  ):
    """Creates a stepper; the environment is reset at the first step.

    Args:
      environment: where.
      on_timestep: called after each time step, the first of an episode included.
    """
    self._environment = environment
    self._on_timestep = on_timestep
    self._timestep: dm_env.TimeStep | None = None
    self._return, self._length = 0.0, 0

  def step(self, actor: Actor) -> Episode | None:
    """Takes one step.

    Args:
      actor: chooses the action, and observes what comes of it.

    Returns:
      The episode, if this step was its last.
    """
    if self._timestep is None or self._timestep.last():
      self._timestep = self._environment.reset()
      self._return, self._length = 0.0, 0
      actor.observe_first(self._timestep)
      self._on_timestep()
    action = actor.select_action(self._timestep.observation)
    self._timestep = self._environment.step(action)
    actor.observe(action, self._timestep)
    self._on_timestep()
    self._return += float(self._timestep.reward)
    self._length += 1
    if not self._timestep.last():
      return None
    return Episode(self._return, self._length, episode_metrics(self._environment))


def run_episodes(
  actor: Actor,
  environment: dm_env.Environment,
  num_episodes: int,
  should_stop: Callable[[], bool] = lambda: False,
  on_timestep: Callable[[], None] = lambda: None,
) -> list[Episode]:
  """Runs whole episodes without learning.

  Args:
    actor: chooses the actions.
    environment: where.
    num_episodes: how many.
    should_stop: asked after every step; True ends at once, without the episode
      under way.
    on_timestep: called after each time step, the first of an episode included.

  Returns:
    The finished episodes, in order.
  """
  episodes: list[Episode] = []
  stepper = EnvironmentStepper(environment, on_timestep)
  while len(episodes) < num_episodes:
    episode = stepper.step(actor)
    if should_stop():
      break
    if episode is not None:
      episodes.append(episode)
  return episodes


def episode_metrics(environment: dm_env.Environment) -> dict[str, float]:
  """Returns what an environment counts besides the return; nothing if it does not."""
  return dict(getattr(environment, 'episode_metrics', dict)())


def summarize(episodes: Sequence[Episode]) -> dict[str, float]:
  """Returns statistics over episodes.

  Args:
    episodes: at least one.

  Returns:
    'return_mean', 'return_std' (over these episodes, not an estimate of a
    population's), 'return_min', 'return_max', 'episode_length', and the mean of each
    of the environment's own metrics.
  """
  returns = [episode.episode_return for episode in episodes]
  values = {
    'return_mean': float(np.mean(returns)),
    'return_std': float(np.std(returns)),
    'return_min': float(np.min(returns)),
    'return_max': float(np.max(returns)),
    'episode_length': float(np.mean([episode.length for episode in episodes])),
  }
  for name in episodes[0].metrics:
    values[name] = float(np.mean([episode.metrics[name] for episode in episodes]))
  return values
