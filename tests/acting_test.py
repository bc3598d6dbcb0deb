from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from iq_acme import acting
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.normalization import RunningStatistics

OBSERVATION = {'x': np.array([0.5, -2.0]), 'y': np.float32(3.0)}
VALUES = np.float32([[-0.4, 0.0, 0.4], [0.0, 1.0, 2.0]])
STATISTICS = RunningStatistics(
  count=jnp.float32(10),
  mean={'x': jnp.float32([0.1, 5.0]), 'y': jnp.float32(-1.0)},
  variance={'x': jnp.float32([4.0, 0.25]), 'y': jnp.float32(16.0)},
)
# (0.5 - 0.1) / 2, (-2 - 5) / 0.5 clipped at 10, (3 + 1) / 4
NORMALIZED = {'x': np.float32([0.2, -10.0]), 'y': np.float32(1.0)}


@pytest.fixture(scope='module')
def setup():
  spec = SimpleNamespace(
    observations={
      'x': specs.Array((2,), np.float64),
      'y': specs.Array((), np.float32),
    },
    actions=specs.BoundedArray((2,), np.float32, [-0.4, 0.0], [0.4, 2.0]),
  )
  config = IQConfig(hidden_layer_sizes=(8,), num_action_values=3)
  networks = make_networks(spec, config)
  params = networks.policy.init(jax.random.PRNGKey(0))
  # Almost sure of one action, so that a uniform one shows.
  output = sorted(params)[-1]
  params[output] = {**params[output], 'b': jnp.float32([0, 0, 50, 50, 0, 0])}
  return SimpleNamespace(
    networks=networks,
    params=params,
    behavior=jax.jit(acting.make_behavior_policy(networks)),
    mode=jax.jit(acting.make_evaluation_policy(networks, deterministic=True)),
    sampled=jax.jit(acting.make_evaluation_policy(networks, deterministic=False)),
  )


def actions(policy, variables, num=60, seed=0):
  """Actions of successive steps, as indices on the grid."""
  key, found = jax.random.PRNGKey(seed), []
  for _ in range(num):
    action, key = policy(variables, key, OBSERVATION)
    assert action.shape == (2,)
    found.append([int(np.flatnonzero(VALUES[i] == action[i])[0]) for i in range(2)])
  return np.array(found)


def test_behavior_is_uniform_on_the_grid_while_exploring(setup):
  variables = acting.ActingVariables(setup.params, None, np.bool_(True))
  found = actions(setup.behavior, variables)
  for dimension in range(2):
    counts = np.bincount(found[:, dimension], minlength=3)
    assert counts.min() >= 8  # 20 expected of 60; fewer than 8 in one of 5,000 seeds.


@pytest.mark.parametrize('policy', ['behavior', 'sampled', 'mode'])
def test_policy_is_followed_once_exploration_ends(setup, policy):
  variables = acting.ActingVariables(setup.params, None, np.bool_(False))
  assert (actions(getattr(setup, policy), variables) == [2, 0]).all()


@pytest.mark.parametrize('policy', ['sampled', 'mode'])
def test_evaluation_never_explores(setup, policy):
  variables = acting.ActingVariables(setup.params, None, np.bool_(True))
  assert (actions(getattr(setup, policy), variables) == [2, 0]).all()


@pytest.mark.parametrize('policy', ['behavior', 'sampled'])
def test_successive_actions_differ_and_the_key_repeats_them(setup, policy):
  # Flat logits: uniform over the grid.
  flat = jax.tree.map(jnp.zeros_like, setup.params)
  variables = acting.ActingVariables(flat, None, np.bool_(False))
  first = actions(getattr(setup, policy), variables, num=20)
  assert len(np.unique(first, axis=0)) > 3
  again = actions(getattr(setup, policy), variables, num=20)
  np.testing.assert_array_equal(first, again)
  other = actions(getattr(setup, policy), variables, num=20, seed=1)
  assert np.any(first != other)


def test_mode_and_sample_differ_under_a_flat_policy(setup):
  flat = jax.tree.map(jnp.zeros_like, setup.params)
  variables = acting.ActingVariables(flat, None, np.bool_(False))
  assert len(np.unique(actions(setup.mode, variables, num=20), axis=0)) == 1


@pytest.mark.parametrize('policy', ['behavior', 'sampled', 'mode'])
def test_policy_sees_the_normalized_observation(setup, policy):
  # In place of the network, a policy that shows what it is given.
  def shown(observation):
    return jnp.concatenate([observation['x'], observation['y'][:, None]], axis=-1)

  networks = SimpleNamespace(
    policy=SimpleNamespace(
      mode=lambda params, observation: shown(observation),
      sample=lambda params, key, observation: shown(observation),
      sample_uniform=lambda key, batch_size: jnp.zeros((batch_size, 3)),
    )
  )
  act = {
    'behavior': acting.make_behavior_policy(networks),
    'sampled': acting.make_evaluation_policy(networks, deterministic=False),
    'mode': acting.make_evaluation_policy(networks, deterministic=True),
  }[policy]
  for statistics, expected in ((STATISTICS, NORMALIZED), (None, OBSERVATION)):
    variables = acting.ActingVariables(None, statistics, np.bool_(False))
    action, _ = act(variables, jax.random.PRNGKey(0), OBSERVATION)
    np.testing.assert_allclose(action, [*expected['x'], expected['y']], rtol=1e-5)
