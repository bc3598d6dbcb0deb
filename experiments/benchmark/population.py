"""Rows of the benchmark that time a population of M members; counts are of all members'.

They need no Acme, so that they run wherever there is an accelerator.
"""

import dataclasses
import functools
import tempfile
from typing import Any

from experiments.benchmark.tasks import (
  BATCH_SIZE,
  Row,
  environment_and_spec,
  random_transitions,
  windows,
)

_FILLED = 1_000
_MANY_STEPS = 200_000  # Of which a row takes as many as it has time for.


def population_products(env_name: str, num_members: int) -> Row:
  """Runs only the matrix products of the members' updates, as one jitted function."""
  _, spec = environment_and_spec(env_name)
  import jax

  from experiments.benchmark.update import update_products

  shapes = update_products(spec)
  keys = jax.random.split(jax.random.PRNGKey(0), len(shapes))
  pairs = [
    (
      jax.random.normal(key, (num_members, m, k)),
      jax.random.normal(key, (num_members, k, n)),
    )
    for key, (m, k, n) in zip(keys, shapes)
  ]
  products = jax.jit(lambda pairs: [a @ b for a, b in pairs])
  return _all_members(
    windows(lambda: jax.block_until_ready(products(pairs))), num_members
  )


def population_update(env_name: str, num_members: int) -> Row:
  """Draws from replay and updates; nobody acts or steps an environment."""
  _, spec = environment_and_spec(env_name)
  import numpy as np

  from iq_acme.config import IQConfig
  from iq_acme.population import iq
  from iq_acme.population.engine import Population
  from iq_acme.transitions import TransitionPacking

  config, packing = IQConfig(), TransitionPacking(spec)
  population = Population(
    iq.make([config] * num_members, spec),
    [iq.numbers_of(config)] * num_members,
    range(num_members),
    packing,
    capacity=_MANY_STEPS,
    batch_size=BATCH_SIZE,
  )
  rows = packing.pack_batch(random_transitions(spec, _FILLED))
  rows = np.broadcast_to(rows, (num_members, *rows.shape))
  population.learn(rows, np.full(num_members, _FILLED), 0)
  one, none = rows[:, :1], np.zeros(num_members, int)
  steps = windows(lambda: population.learn(one, none, 1), population.alive)
  return _all_members(steps, num_members)


def population(env_name: str, num_members: int) -> Row:
  """Runs whole members: environments, actions, replay, updates and files.

  CPU and memory are those of this process alone, without the environments' workers.
  """
  import contextlib

  from iq_acme import make_environment
  from iq_acme.config import IQConfig
  from iq_acme.population import iq
  from iq_acme.population.members import Member
  from iq_acme.population.runner import PopulationRun
  from iq_acme.training.settings import RunSettings

  config = IQConfig(min_replay_size=_FILLED)
  with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
    members = [
      Member(
        RunSettings(
          env_name=env_name,
          algorithm='m_iq',
          workdir=f'{root}/{seed}',
          num_steps=_MANY_STEPS,
          seed=seed,
          agent_config=dataclasses.asdict(config),
          tensorboard=False,
          engine='population',
        ),
        config,
        iq.FAMILY,
      )
      for seed in range(num_members)
    ]
    make = functools.partial(make_environment, env_name)
    run = PopulationRun(members, make, None, 1, stack)
    while run.learner_steps < 100:
      run.take_step()
    yield from _all_members(windows(run.take_step, run.wait), num_members)


def _all_members(steps: Row, num_members: int) -> Row:
  """Counts what each step does for each member."""
  count = next(steps)
  while True:
    seconds = yield num_members * count
    count = steps.send(seconds)


def rows(sizes: tuple[int, ...]) -> dict[str, Any]:
  """Returns the rows of each number of members, by name."""
  return {
    f'{row.__name__}_{size}': functools.partial(row, num_members=size)
    for row in (population_products, population_update, population)
    for size in sizes
  }
