"""Evaluations of all members at once, each by the seeds of a run of its own."""

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
  num_members, num_episodes = len(population), settings[0].evaluation_episodes
  seeds = np.array(
    [seeding.derive_seeds(x.seed, 'evaluation', actor_steps, 3) for x in settings]
  )
  keys = [
    jnp.stack([jax.random.PRNGKey(seed) for seed in column]) for column in seeds.T[1:]
  ]
  # The modes of all members, then samples of all.
  num = 2 * num_members
  episodes: list[list[Episode]] = [[] for _ in range(num)]
  # Observations and rewards of each episode of the modes, the last one under way.
  records: list[list[tuple[list, list]]] = [[([], [])] for _ in range(num_members)]
  failures: dict[int, str] = {}
  step = 0
  batch = pool.open([*seeds[:, 0], *seeds[:, 0]])
  try:
    while True:
      wanted = [
        going[i % num_members]
        and i % num_members not in failures
        and len(episodes[i]) < num_episodes
        for i in range(num)
      ]
      if not any(wanted):
        break
      observations = batch.observations
      actions = [
        population.act_in_evaluation(
          keys[k], step, observations[k * num_members :][:num_members], name == 'mode'
        )
        for k, name in enumerate(evaluation.POLICY_MODES)
      ]
      batch.send(np.concatenate(actions), wanted)
      results = batch.receive()
      for i, text in results.failures.items():
        failures[i % num_members] = text
      for i in filter(wanted.__getitem__, range(num_members)):
        records[i][-1][0].append(observations[i])
        records[i][-1][1].append(float(results.reward[i]))
      for i, episode in results.episodes.items():
        episodes[i].append(episode)
        if i < num_members:
          records[i].append(([], []))
      if should_stop():
        return None
      step += 1
  finally:
    batch.close()
  values = {}
  for i in np.flatnonzero(going):
    if i in failures:
      continue
    both = (episodes[i], episodes[num_members + i])
    critic = critics.Critic(discounts[i], population.member(i), assess)
    values[int(i)] = evaluation.describe(
      dict(zip(evaluation.POLICY_MODES, both)),
      evaluation.assess_episodes(critic, records[i][:num_episodes]),
    )
  return Evaluations(values, failures)
