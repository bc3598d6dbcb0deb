"""SAC as a population trains it: its networks by hand, members, acting, policy files."""

import dataclasses

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from dm_env import specs
from sac_steps import CONFIG, B, D, batches, run, spec

from iq_acme.baselines.sac import networks as sac_networks
from iq_acme.baselines.sac import policy_file, population, update
from iq_acme.commands import algorithms
from iq_acme.storage import serialization

pytestmark = pytest.mark.core
KEY = jax.random.PRNGKey(7)
OBSERVATION = batches(1)[0].observation[0]
NORMALIZED = dataclasses.replace(CONFIG, normalize_observations=True)


def normal(mean, scale):
  return distrax.Normal(jnp.float32(mean), jnp.float32(scale))


def algorithm(config=CONFIG, environment_spec=None):
  environment_spec = environment_spec or spec()
  made = algorithms.family(config).make([config], environment_spec)
  return made, made.init(KEY, population.numbers_of(config))


def learned(made, state, config=CONFIG):
  numbers = population.numbers_of(config)
  for batch in batches(3):
    state, _ = jax.jit(made.sgd_step)(state, batch, numbers)
  return state


def test_density_is_the_normals_over_the_slope_of_tanh():
  mean, scale, action = (
    np.array([0.3, -1.0]),
    np.array([0.5, 2.0]),
    np.array([0.5, -0.9]),
  )
  by_hand = scipy.stats.norm.logpdf(np.arctanh(action), mean, scale) - np.log(
    1 - action**2
  )
  found = sac_networks.log_prob(normal(mean, scale), jnp.float32(action))
  np.testing.assert_allclose(found, by_hand.sum(), rtol=1e-5)


def test_density_beyond_the_threshold_is_the_mean_of_what_is_left():
  mean, scale, limit = 2.0, 1.5, np.arctanh(0.999)
  above = np.log(scipy.stats.norm.sf(limit, mean, scale) / 0.001)
  below = np.log(scipy.stats.norm.cdf(-limit, mean, scale) / 0.001)
  for action, by_hand in (
    (0.9995, above),
    (1.0, above),
    (-0.9995, below),
    (-1.0, below),
  ):
    found = sac_networks.log_prob(normal([mean], [scale]), jnp.float32([action]))
    np.testing.assert_allclose(found, by_hand, rtol=1e-4)


@pytest.mark.parametrize('mean', [-30.0, 30.0])
def test_gradient_of_a_policy_far_out_is_finite(mean):
  def loss(mean):
    distribution = distrax.Normal(mean, jnp.float32([0.1]))
    action = sac_networks.sample(distribution, KEY)
    return sac_networks.log_prob(distribution, action)

  assert np.all(np.isfinite(jax.grad(loss)(jnp.float32([mean]))))


def test_actions_between_minus_one_and_one_are_canonical_bit_for_bit():
  networks = sac_networks.make_networks(spec(), CONFIG)
  action = batches(1)[0].action
  np.testing.assert_array_equal(networks.to_canonical(action), action)
  params = networks.policy.init(KEY)
  distribution = networks.normal(params, OBSERVATION[None])
  np.testing.assert_array_equal(
    networks.policy.sample(params, KEY, OBSERVATION[None]),
    sac_networks.sample(distribution, KEY),
  )


def test_learning_is_the_same_in_any_units():
  # These bounds' center and width are exact in float32, so nothing is rounded away.
  own = sac_networks.make_networks(spec(-1.0, 3.0), CONFIG)
  canonical = sac_networks.make_networks(spec(), CONFIG)
  state = update.init_state(KEY, canonical, CONFIG)
  (expected,), _ = run(state, batches(1), canonical)
  scaled = [batch._replace(action=2 * batch.action + 1) for batch in batches(1)]
  (found,), _ = run(state, scaled, own)
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


def test_observation_that_is_no_vector_is_refused():
  nested = spec()._replace(observations={'a': specs.Array((3,), np.float32)})
  with pytest.raises(ValueError, match='SAC takes one vector'):
    sac_networks.make_networks(nested, CONFIG)


def test_members_of_different_numbers_are_single_updates():
  configs = [
    CONFIG,
    dataclasses.replace(
      CONFIG, learning_rate=1e-3, discount=0.9, target_update_rate=0.1
    ),
  ]
  made = population.make(configs, spec())
  keys = jax.random.split(KEY, len(configs))
  numbers = population.SACNumbers(
    *(np.float32(x) for x in zip(*map(population.numbers_of, configs)))
  )
  states = jax.vmap(made.init)(keys, numbers)
  step = jax.jit(jax.vmap(made.sgd_step, in_axes=(0, None, 0)))
  for batch in batches(10):
    states, metrics = step(states, batch, numbers)
  networks = sac_networks.make_networks(spec(), CONFIG)
  for i, (key, config) in enumerate(zip(keys, configs)):
    state = update.init_state(key, networks, config)
    singles, rows = run(state, batches(10), networks, config)
    for name, value in rows[-1].items():
      np.testing.assert_allclose(metrics[name][i], value, rtol=1e-3, err_msg=name)
    for a, b in zip(jax.tree.leaves(states), jax.tree.leaves(singles[-1])):
      np.testing.assert_allclose(a[i], b, rtol=1e-3, atol=1e-4)


def test_programs_differ_by_all_but_the_numbers():
  same = dataclasses.replace(CONFIG, learning_rate=1e-3, discount=0.9)
  assert population.program_of(same) == population.program_of(CONFIG)
  for other in (NORMALIZED, dataclasses.replace(CONFIG, hidden_layer_sizes=(16,))):
    assert population.program_of(other) != population.program_of(CONFIG)


def test_exploring_actions_are_uniform_in_the_environments_units():
  made, state = algorithm(environment_spec=spec(-1.0, 3.0))
  act = jax.jit(
    jax.vmap(made.act, in_axes=(None, 0, None, None, None)), static_argnums=4
  )
  actions = np.asarray(
    act(state, jax.random.split(KEY, 2000), OBSERVATION, True, False)
  )
  assert actions.shape == (2000, D)
  quantiles = np.quantile(actions, [0.0, 0.25, 0.5, 0.75, 1.0])
  np.testing.assert_allclose(quantiles, [-1, 0, 1, 2, 3], atol=0.1)
  assert actions.min() >= -1 and actions.max() <= 3


def test_actions_are_the_policys_once_exploration_is_over():
  made, state = algorithm(environment_spec=spec(-1.0, 3.0))
  other = jax.random.PRNGKey(8)
  networks = sac_networks.make_networks(spec(-1.0, 3.0), CONFIG)
  mean = networks.normal(state.policy_params, OBSERVATION[None]).loc[0]
  for exploring in (True, False):  # Evaluation never explores.
    mode = made.act(state, KEY, OBSERVATION, exploring, True)
    np.testing.assert_allclose(mode, 2 * np.tanh(mean) + 1, rtol=1e-5)
  sampled = [
    made.act(state, key, OBSERVATION, False, False) for key in (KEY, KEY, other)
  ]
  np.testing.assert_array_equal(sampled[0], sampled[1])
  assert not np.array_equal(sampled[0], sampled[2])
  assert not np.array_equal(sampled[0], mode)
  uniform = made.act(state, KEY, OBSERVATION, True, False)
  assert not np.array_equal(sampled[0], uniform)


def test_states_are_worth_the_smaller_q_of_the_mode():
  made, state = algorithm(environment_spec=spec(-1.0, 3.0))
  observations = batches(1)[0].observation
  networks = sac_networks.make_networks(spec(-1.0, 3.0), CONFIG)
  mode = np.tanh(networks.normal(state.policy_params, observations).loc)
  q_values = networks.critics(state.q_params, observations, mode)
  assert (
    len(np.unique(np.argmin(q_values, axis=1))) == 2
  )  # Either is the smaller somewhere.
  found = made.assess(state, observations)
  assert set(found) == {'value'}
  np.testing.assert_allclose(found['value'], np.min(q_values, axis=1), rtol=1e-5)


def test_normaliser_holds_the_statistics_of_the_batches():
  made, state = algorithm(NORMALIZED)
  state = learned(made, state, NORMALIZED)
  seen = np.concatenate([batch.observation for batch in batches(3)])
  assert state.normalizer.count == 3 * B
  np.testing.assert_allclose(state.normalizer.mean, seen.mean(0), rtol=1e-4)
  np.testing.assert_allclose(state.normalizer.variance, seen.var(0), rtol=1e-4)
  # It is what acting and assessing see by.
  plain = algorithm()[0]
  as_seen = (OBSERVATION - seen.mean(0)) / seen.std(0)
  np.testing.assert_allclose(
    made.act(state, KEY, OBSERVATION, False, True),
    plain.act(state._replace(normalizer=None), KEY, as_seen, False, True),
    rtol=1e-3,
  )
  np.testing.assert_allclose(
    made.assess(state, OBSERVATION[None])['value'],
    plain.assess(state._replace(normalizer=None), as_seen[None])['value'],
    rtol=1e-3,
  )


@pytest.mark.parametrize('config', [CONFIG, NORMALIZED], ids=['plain', 'normalized'])
def test_policy_file_acts_like_its_member(config, tmp_path):
  environment_spec = spec(-1.0, 3.0)
  made, state = algorithm(config, environment_spec)
  state = learned(made, state, config)
  path = str(tmp_path / 'policy.npz')
  made.save_policy(path, state, config, {'env_name': 'fake'})
  policy = policy_file.load_policy(path, environment_spec)
  assert policy.metadata == {'env_name': 'fake'}
  policy.seed(7)
  for deterministic in (True, False):
    expected = made.act(state, KEY, OBSERVATION, False, deterministic)
    policy.seed(7)
    found = policy(OBSERVATION, deterministic)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_older_policy_file_is_of_raw_observations(tmp_path):
  made, state = algorithm()
  path = str(tmp_path / 'policy.npz')
  # As `save_policy` wrote it before there was a normaliser.
  header = {
    'format': 'acme_sac policy',
    'hidden_layer_sizes': [16, 16],
    'observation_shape': [5],
    'action_shape': [3],
    'metadata': {},
  }
  serialization.save_tree(path, state.policy_params, header)
  found = policy_file.load_policy(path, spec())(OBSERVATION)
  np.testing.assert_allclose(
    found, made.act(state, KEY, OBSERVATION, False, True), rtol=1e-5
  )
