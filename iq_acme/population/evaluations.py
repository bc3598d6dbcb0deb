"""Evaluations of all members at once, each by the seeds of a run of its own."""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iq_acme import critics, evaluation, seeding
from iq_acme.episodes import Episode
from iq_acme.population.engine import Population
from iq_acme.population.environment_pool import EnvironmentPool
from iq_acme.population.members import Member


class Evaluated(NamedTuple):
  """What an evaluation of all members found.

  Attributes:
    values: `evaluation.evaluate_agent`'s, by member; those that are not `going` have none.
    failures: what an environment raised, by member.
  """

  values: dict[int, dict[str, float]]
  failures: dict[int, str]


class MemberEvaluations:
  """Evaluates modes and sampled policies, in an environment a member and policy.

  Its episodes come one after the other, as in a run of its own. So members of episodes
  that are short wait for the others.
  """

  def __init__(
    self, members: Sequence[Member], population: Population, pool: EnvironmentPool
  ):
    """Evaluates nothing yet.

    Args:
      members: all are evaluated in as many episodes as the first.
      population: of these members.
      pool: makes the environments.
    """
    self._members = members
    self._population = population
    self._pool = pool
    self._assess = jax.jit(population.algorithm.assess)

  def run(
    self, going: np.ndarray, actor_steps: int, should_stop: Callable[[], bool]
  ) -> Evaluated | None:
    """Evaluates members.

    Args:
      going: which ones, bool [M].
      actor_steps: environment steps of training so far.
      should_stop: asked after every step; True abandons the evaluation.

    Returns:
      What was found, None if abandoned.
    """
    going, count = going.copy(), len(self._members)
    num_episodes = self._members[0].settings.evaluation_episodes
    seeds = np.array(
      [
        seeding.derive_seeds(member.settings.seed, 'evaluation', actor_steps, 3)
        for member in self._members
      ]
    )
    # The modes of all members, then samples of all.
    episodes: list[list[Episode]] = [[] for _ in range(2 * count)]
    # Observations and rewards of each episode of the modes, the last one under way.
    records: list[list[tuple[list, list]]] = [[([], [])] for _ in range(count)]
    failures: dict[int, str] = {}
    with contextlib.closing(self._pool.open([*seeds[:, 0], *seeds[:, 0]])) as batch:
      keys = [_keys(column) for column in seeds.T[1:]]
      for step in itertools.count():
        wanted = np.tile(going, 2) & [len(x) < num_episodes for x in episodes]
        if not wanted.any():
          break
        observations = batch.observations
        batch.send(_actions(self._population, keys, step, observations), wanted)
        results = batch.receive()
        for i, text in results.failures.items():
          failures[i % count] = text
          going[i % count] = False
        for i in np.flatnonzero(wanted[:count]):
          records[i][-1][0].append(observations[i])
          records[i][-1][1].append(float(results.reward[i]))
        for i, episode in results.episodes.items():
          episodes[i].append(episode)
          if i < count:
            records[i].append(([], []))
        if should_stop():
          return None
    values = {
      i: self._describe(
        i, (episodes[i], episodes[count + i]), records[i][:num_episodes]
      )
      for i in map(int, np.flatnonzero(going))
    }
    return Evaluated(values, failures)

  def _describe(
    self,
    index: int,
    episodes: Sequence[Sequence[Episode]],
    records: Sequence[tuple[list, list]],
  ) -> dict[str, float]:
    """Returns a member's values, of its episodes by mode and the modes' records."""
    discount = self._members[index].config.discount
    critic = critics.Critic(discount, self._population.member(index), self._assess)
    return evaluation.describe(
      dict(zip(evaluation.POLICY_MODES, episodes)),
      evaluation.assess_episodes(critic, records),
    )


def _keys(seeds: np.ndarray) -> jax.Array:
  return jnp.stack([jax.random.PRNGKey(seed) for seed in seeds])


def _actions(
  population: Population, keys: Sequence[jax.Array], step: int, observations: np.ndarray
) -> np.ndarray:
  """Returns the actions of all modes, then of all samples, [2M, ...]."""
  halves = np.split(observations, len(evaluation.POLICY_MODES))
  return np.concatenate(
    [
      population.act_in_evaluation(key, step, half, name == 'mode')
      for name, key, half in zip(evaluation.POLICY_MODES, keys, halves)
    ]
  )
