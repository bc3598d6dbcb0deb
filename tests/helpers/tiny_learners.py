"""Learners of small networks on random batches."""

from typing import Any, NamedTuple

import jax
import numpy as np
from tiny_environments import NumberedEnvironment, spec_of, tiny_config

from iq_acme.agent.learner import IQLearner
from iq_acme.networks import make_networks
from iq_acme.update import Transition


class Sample(NamedTuple):
  """As `reverb.ReplaySample`."""

  info: Any
  data: tuple


class Rows:
  """A logger that keeps its rows."""

  def __init__(self):
    self.rows = []

  def write(self, row):
    self.rows.append(dict(row))

  def close(self):
    pass


def random_batch(seed, size=8, **replaced):
  rng = np.random.default_rng(seed)
  fields = {
    'observation': rng.normal(size=(size, 2)).astype(np.float32),
    'action': rng.choice([-1.0, 0.0, 3.0], (size, 1)).astype(np.float32),
    'reward': rng.normal(size=size).astype(np.float32),
    'discount': rng.integers(0, 2, size).astype(np.float32),
    'next_observation': rng.normal(size=(size, 2)).astype(np.float32),
  }
  return Transition(**(fields | replaced))


def batches(num, size=8, bad=None):
  """Random batches; the one with index `bad` has a reward of NaN."""
  for i in range(num):
    batch = random_batch(i, size)
    if i == bad:
      batch.reward[3] = np.nan
    # Reverb's transitions have a sixth field, `extras`.
    yield Sample(None, (*batch, ()))


def make_learner(config=None, data=None, seed=0, **kwargs):
  config = config or tiny_config()
  networks = make_networks(spec_of(NumberedEnvironment()), config)
  data = batches(10_000) if data is None else data
  return IQLearner(networks, config, jax.random.PRNGKey(seed), data, **kwargs)


def run(learner, num_steps):
  for _ in range(num_steps):
    learner.step()


def as_bytes(tree):
  return tuple(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
