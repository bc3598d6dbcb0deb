"""Evaluations: whole episodes of a fixed policy, and what its agent expected."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import dm_env
import jax
import numpy as np

from iq_acme import seeding
from iq_acme.critics import Critic
from iq_acme.episodes import Actor, Episode, run_episodes, summarize

# Makes an environment from a seed.
EnvironmentFactory = Callable[[int], dm_env.Environment]

POLICY_MODES = ('mode', 'sampled')


class EvaluatedAgent(Protocol):
  """The part of an agent that an evaluation uses."""

  def make_evaluation_actor(self, *, deterministic: bool, seed: int) -> Actor:
    """Returns an actor with the parameters of this moment, which adds no data.

    Args:
      deterministic: whether it takes the policy's mode instead of samples.
      seed: of its samples.
    """

  def make_critic(self) -> Critic | None:
    """Returns what the agent expects of states, as of this moment; None if nothing."""


def evaluate_agent(
  agent: EvaluatedAgent,
  make_environment: EnvironmentFactory,
  *,
  run_seed: int,
  step: int,
  num_episodes: int,
  should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, float] | None:
  """Evaluates the mode and the sampled policy on the same episodes' seeds.

  Args:
    agent: whose policy.
    make_environment: makes a fresh environment from a seed.
    run_seed: the seed of the run.
    step: the run's, of training so far; with `run_seed` it fixes the
      seeds, so that the same evaluation can be made again.
    num_episodes: episodes of each of the two policies.
    should_stop: asked after every step; True abandons the evaluation.

  Returns:
    `summarize`'s values, prefixed with 'mode_' and 'sampled_', and for the mode those
    of `assess_episodes`, if the agent has a critic; or None if abandoned.
  """
  seeds = seeding.derive_seeds(run_seed, 'evaluation', step, 3)
  episodes = {}
  critic = agent.make_critic()
  recorder = None
  for name, actor_seed in zip(POLICY_MODES, seeds[1:]):
    actor = agent.make_evaluation_actor(deterministic=name == 'mode', seed=actor_seed)
    if critic is not None and name == 'mode':
      actor = recorder = _Recorder(actor)
    with contextlib.closing(make_environment(seeds[0])) as environment:
      episodes[name] = run_episodes(actor, environment, num_episodes, should_stop)
    if len(episodes[name]) < num_episodes:
      return None
  return describe(
    episodes, assess_episodes(critic, recorder.episodes) if recorder else {}
  )


def describe(
  episodes: Mapping[str, Sequence[Episode]], assessed: Mapping[str, float]
) -> dict[str, float]:
  """Returns an evaluation's values, by the columns of its file.

  Args:
    episodes: of each of `POLICY_MODES`.
    assessed: `assess_episodes`'s of the mode's.
  """
  values = {
    f'{name}_{key}': value
    for name, finished in episodes.items()
    for key, value in summarize(finished).items()
  }
  return values | {f'mode_{key}': value for key, value in assessed.items()}


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
    # A copy, for environments may write the next observation over this one.
    self.episodes[-1][0].append(jax.tree.map(np.array, observation))
    return self._actor.select_action(observation)

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    self.episodes.append(([], []))
    self._actor.observe_first(timestep)

  def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
    self.episodes[-1][1].append(float(next_timestep.reward))
    self._actor.observe(action, next_timestep)


def evaluation_line(step: int, values: Mapping[str, float]) -> str:
  """Returns the line that shows an evaluation.

  Args:
    step: the run's.
    values: `evaluate_agent`'s, and 'steps_per_second', which may be NaN.
  """
  parts = [
    f'{name} {values[f"{name}_return_mean"]:,.1f} ± {values[f"{name}_return_std"]:,.1f}'
    for name in POLICY_MODES
  ]
  if not math.isnan(values['steps_per_second']):
    parts.append(f'{values["steps_per_second"]:,.0f} steps/s')
  return f'{step:>11,}  ' + ' · '.join(parts)
