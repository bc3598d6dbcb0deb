"""Policies in files, as after some training, and files with another header."""

import collections
import dataclasses
import json

import jax
import numpy as np
from dm_env import specs

from iq_acme import acting, policy_io
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.normalization import RunningStatistics
from iq_acme.spec_checks import EnvironmentSpec
from iq_acme.storage import serialization

ACTIONS = specs.BoundedArray((2,), np.float32, [-0.4, 0.0], [0.4, 2.0], name='a')
FLAT = specs.BoundedArray((3,), np.float32, [-1, -np.inf, 0.1], np.inf, name='obs')
OBSERVATIONS = {
  'flat': (FLAT, np.float32([0.1, -2.0, 3.0])),
  'dict': (
    {'b': specs.Array((2,), np.float64), 'a': specs.Array((), np.float32)},
    {'b': np.array([1.0, -1.0]), 'a': np.float32(0.5)},
  ),
  # JAX keeps this order, and sorts a plain dict's.
  'ordered dict': (
    collections.OrderedDict(
      [('b', specs.Array((1,), np.float32)), ('a', specs.Array((2,), np.float32))]
    ),
    collections.OrderedDict([('b', np.float32([4.0])), ('a', np.float32([1.0, -2.0]))]),
  ),
  'tuple in a list': (
    [(specs.Array((2,), np.float32), specs.Array((1,), np.float32))],
    [(np.float32([1.0, 2.0]), np.float32([-3.0]))],
  ),
}
CONFIG = IQConfig(hidden_layer_sizes=(8,), num_action_values=5, min_replay_size=999)


def make(observations=FLAT, **fields):
  """An environment's specs, a configuration, and variables as after some training."""
  spec = EnvironmentSpec(observations, ACTIONS)
  config = dataclasses.replace(CONFIG, **fields)
  networks = make_networks(spec, config)
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(networks.policy.init, jax.random.PRNGKey(0))
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes
  )
  normalizer = None
  if config.normalize_observations:
    normalizer = RunningStatistics(
      count=np.float32(77),
      mean=jax.tree.map(lambda s: np.full(s.shape, 0.7, np.float32), observations),
      variance=jax.tree.map(lambda s: np.full(s.shape, 3.1, np.float32), observations),
    )
  variables = acting.ActingVariables(params, normalizer, exploring=False)
  return networks, config, variables


def save(path, observations=FLAT, metadata=None, **fields):
  networks, config, variables = make(observations, **fields)
  policy_io.save_policy(path, variables, networks.environment_spec, config, metadata)
  return networks, config, variables


def rewrite_header(path, **changes):
  """Replaces header entries of a policy file; those set to None go."""
  header = serialization.load_header(path) | changes
  with np.load(path) as file:
    arrays = {name: file[name] for name in file.files}
  header = {name: value for name, value in header.items() if value is not None}
  arrays['header.json'] = np.frombuffer(json.dumps(header).encode(), np.uint8)
  np.savez(path, **arrays)
