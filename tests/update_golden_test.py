"""With every field of later times off, the step is bit for bit what it was before them."""

import functools
import hashlib
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from dm_env import specs

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks

# Taken from commit 0647c3c, before pairs, policy steps and bounds: SHA-256 of the
# lowered program, which no machine and no compiler has had a part in.
PROGRAMS = {
  'm_iq': ({}, '86f3afb09795534a'),
  'iq': ({'munchausen_coefficient': 0.0}, 'c1c87d1c1ef8303d'),
  'trust_pcl': ({'value_bootstrap': 'online'}, 'ca069c03a4f4df27'),
  'gaussian': ({'policy_family': 'gaussian'}, 'a3b017adae89a14d'),
  'normalized': ({'normalize_observations': True}, 'a4aaf68749261cf2'),
}
SPEC = SimpleNamespace(
  observations=specs.Array((3,), np.float32),
  actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0),
)
BATCH = update.Transition(
  observation=np.ones((4, 3), np.float32),
  action=np.ones((4, 2), np.float32),
  reward=np.ones(4, np.float32),
  discount=np.ones(4, np.float32),
  next_observation=np.ones((4, 3), np.float32),
)


def program_hash(**fields):
  config = IQConfig(
    hidden_layer_sizes=(8, 8), batch_size=4, min_replay_size=4, **fields
  )
  networks = make_networks(SPEC, config)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  step = functools.partial(update.sgd_step, networks=networks, config=config)
  text = jax.jit(step).lower(state, BATCH).as_text()
  return hashlib.sha256(text.encode()).hexdigest()[:16]


pytestmark = pytest.mark.skipif(
  jax.__version__ != '0.6.2', reason='The hashes are of programs that JAX 0.6.2 writes.'
)


@pytest.mark.parametrize('name', list(PROGRAMS))
def test_step_is_the_program_of_the_commit_before(name):
  fields, expected = PROGRAMS[name]
  assert program_hash(**fields) == expected


@pytest.mark.parametrize(
  'fields',
  [
    {'num_pairs': 2},
    {'policy_learning_rate': 1e-4},
    {'policy_start': 1},
    {'center_policy_error': True},
    {'munchausen_bound': 1.0},
    {'advantage_bound': 1.0},
    {'disadvantage_bound': 1.0},
    {'scale_logits_by_temperature': True, 'separate_value': False},
    {
      'scale_logits_by_temperature': True,
      'separate_value': False,
      'num_q_networks': 2,
    },
  ],
)
def test_each_new_field_makes_another_program(fields):
  assert program_hash(**fields) != PROGRAMS['m_iq'][1]
