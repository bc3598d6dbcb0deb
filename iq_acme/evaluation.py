"""Whole episodes of a fixed policy, and what they come to."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import dm_env
import numpy as np

from iq_acme import seeding
from iq_acme.critics import Critic

# Makes an environment from a seed.
EnvironmentFactory = Callable[[int], dm_env.Environment]

POLICY_MODES = ('mode', 'sampled')


class Actor(Protocol):
  """The part of Acme's `Actor` that an evaluation uses."""

  def select_action(self, observation: Any) -> Any:
    """Returns the action for an observation."""

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    """Takes the first time step of an episode."""

  def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
    """Takes a later time step, and the action that led to it."""


class EvaluatedAgent(Protocol):
  """The part of an agent that an evaluation uses."""

  def make_evaluation_actor(self, mode: bool, seed: int) -> Actor:
    """Returns an actor with the parameters of this moment, which adds no data.

    Args:
      mode: whether it takes the policy's mode instead of samples.
      seed: of its samples.
    """

  def make_critic(self) -> Critic | None:
    """Returns what the agent expects of states, as of this moment; None if nothing."""


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


def evaluate_agent(
  agent: EvaluatedAgent,
  make_environment: EnvironmentFactory,
  *,
  run_seed: int,
  actor_steps: int,
  num_episodes: int,
  should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, float] | None:
  """Evaluates the mode and the sampled policy on the same episodes' seeds.

  Args:
    agent: whose policy.
    make_environment: makes a fresh environment from a seed.
    run_seed: the seed of the run.
    actor_steps: environment steps of training so far; with `run_seed` it fixes the
      seeds, so that the same evaluation can be made again.
    num_episodes: episodes of each of the two policies.
    should_stop: asked after every step; True abandons the evaluation.

  Returns:
    `summarize`'s values, prefixed with 'mode_' and 'sampled_', and for the mode those
    of `assess_episodes`, if the agent has a critic; or None if abandoned.
  """
  seeds = seeding.derive_seeds(run_seed, 'evaluation', actor_steps, 3)
  values = {}
  critic = agent.make_critic()
  recorder = None
  for name, actor_seed in zip(POLICY_MODES, seeds[1:]):
    actor = agent.make_evaluation_actor(mode=name == 'mode', seed=actor_seed)
    if critic is not None and name == 'mode':
      actor = recorder = _Recorder(actor)
    with contextlib.closing(make_environment(seeds[0])) as environment:
      episodes = run_episodes(actor, environment, num_episodes, should_stop)
    if len(episodes) < num_episodes:
      return None
    values.update({f'{name}_{k}': v for k, v in summarize(episodes).items()})
  if recorder is not None:
    assessed = assess_episodes(critic, recorder.episodes)
    values.update({f'mode_{k}': v for k, v in assessed.items()})
  return values


def run_episodes(
  actor: Actor,
  environment: dm_env.Environment,
  num_episodes: int,
  should_stop: Callable[[], bool] = lambda: False,
  on_step: Callable[[], None] = lambda: None,
) -> list[Episode]:
  """Runs whole episodes without learning.

  Args:
    actor: chooses the actions.
    environment: where.
    num_episodes: how many.
    should_stop: asked after every step; True ends at once, without the episode
      under way.
    on_step: called after the first time step of each episode and every later one.

  Returns:
    The finished episodes, in order.
  """
  episodes = []
  while len(episodes) < num_episodes:
    timestep = environment.reset()
    actor.observe_first(timestep)
    on_step()
    episode_return, length = 0.0, 0
    while not timestep.last():
      action = actor.select_action(timestep.observation)
      timestep = environment.step(action)
      actor.observe(action, timestep)
      on_step()
      episode_return += float(timestep.reward)
      length += 1
      if should_stop():
        return episodes
    metrics = episode_metrics(environment)
    episodes.append(Episode(episode_return, length, metrics))
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


def assess_episodes(
  critic: Critic, episodes: Sequence[tuple[Sequence[Any], Sequence[float]]]
) -> dict[str, float]:
  """Holds what a critic expects of episodes against what came.

  Args:
    critic: of the policy that acted.
    episodes: the observations that it acted on, and the reward of each action.

  Returns:
    Means over the episodes: 'initial_value', the critic's of the first state, and
    'discounted_return' from there (where an episode was cut off, nothing stands for
    what would have come); and over all states whatever else the critic says.
  """
  returns, assessed = [], []
  for observations, rewards in episodes:
    powers = critic.discount ** np.arange(len(rewards))
    returns.append(float(np.dot(powers, rewards)))
    assessed.append(critic(observations))
  values = {
    'initial_value': float(np.mean([values['value'][0] for values in assessed])),
    'discounted_return': float(np.mean(returns)),
  }
  for name in assessed[0]:
    if name != 'value':
      values[name] = float(np.mean(np.concatenate([x[name] for x in assessed])))
  return values


class _Recorder:
  """An actor that remembers what another one acted on, and its rewards."""

  def __init__(self, actor: Actor):
    self._actor = actor
    self.episodes: list[tuple[list[Any], list[float]]] = []

  def select_action(self, observation: Any) -> Any:
    self.episodes[-1][0].append(observation)
    return self._actor.select_action(observation)

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    self.episodes.append(([], []))
    self._actor.observe_first(timestep)

  def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
    self.episodes[-1][1].append(float(next_timestep.reward))
    self._actor.observe(action, next_timestep)
