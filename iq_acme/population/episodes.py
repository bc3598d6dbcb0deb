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
from iq_acme.training.settings import RunSettings


class Evaluations(NamedTuple):
  """What an evaluation of all members found.

  Attributes:
    values: `evaluation.evaluate_agent`'s, by member; those that are not `going` have none.
    failures: what an environment raised, by member.
  """

  values: dict[int, dict[str, float]]
  failures: dict[int, str]


def evaluate_members(
  population: Population,
  pool: EnvironmentPool,
  assess: critics.Assess,
  discounts: Sequence[float],
  settings: Sequence[RunSettings],
  going: np.ndarray,
  actor_steps: int,
  should_stop: Callable[[], bool],
) -> Evaluations | None:
  """Evaluates modes and sampled policies, in an environment a member and policy.

  Its episodes come one after the other, as in a run of its own. So members of episodes
  that are short wait for the others.

  Args:
    population: whose policies.
    pool: makes the environments.
    assess: jitted; what a member's state expects of observations.
    discounts: of each member.
    settings: of each member; all are evaluated in as many episodes as the first.
    going: which members are evaluated, bool [M].
    actor_steps: environment steps of training so far.
    should_stop: asked after every step; True abandons the evaluation.

  Returns:
    What was found, None if abandoned.
  """
  going = going.copy()
  num_episodes = settings[0].evaluation_episodes
  seeds = np.array(
    [seeding.derive_seeds(x.seed, 'evaluation', actor_steps, 3) for x in settings]
  )
  # The modes of all members, then samples of all.
  episodes: list[list[Episode]] = [[] for _ in range(2 * len(population))]
  # Observations and rewards of each episode of the modes, the last one under way.
  records: list[list[tuple[list, list]]] = [[([], [])] for _ in settings]
  failures: dict[int, str] = {}
  with contextlib.closing(pool.open([*seeds[:, 0], *seeds[:, 0]])) as batch:
    keys = [_keys(column) for column in seeds.T[1:]]
    for step in itertools.count():
      wanted = np.tile(going, 2) & [len(x) < num_episodes for x in episodes]
      if not wanted.any():
        break
      observations = batch.observations
      batch.send(_actions(population, keys, step, observations), wanted)
      results = batch.receive()
      for i, text in results.failures.items():
        failures[i % len(population)] = text
        going[i % len(population)] = False
      for i in np.flatnonzero(wanted[: len(population)]):
        records[i][-1][0].append(observations[i])
        records[i][-1][1].append(float(results.reward[i]))
      for i, episode in results.episodes.items():
        episodes[i].append(episode)
        if i < len(population):
          records[i].append(([], []))
      if should_stop():
        return None
  values = {}
  for i in map(int, np.flatnonzero(going)):
    both = episodes[i], episodes[len(population) + i]
    critic = critics.Critic(discounts[i], population.member(i), assess)
    values[i] = evaluation.describe(
      dict(zip(evaluation.POLICY_MODES, both)),
      evaluation.assess_episodes(critic, records[i][:num_episodes]),
    )
  return Evaluations(values, failures)


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
