"""A temperature that adapts: what moves with it, and what does not."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from nine_actions import ACTIONS, OBSERVATIONS, SPEC

from iq_acme import update
from iq_acme.acting import ActingVariables
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.policies import temperature
from iq_acme.policy_io import load_policy, save_policy

CONFIG = IQConfig(
  temperature=0.5,
  num_action_values=3,
  hidden_layer_sizes=(16,),
  output_init_scale=1.0,
  learning_rate=0.01,
  target_update_rate=0.3,
  target_entropy_per_dim=0.6,
  temperature_learning_rate=0.05,
)


def batch_of(size, seed=0):
  rng = np.random.default_rng(seed)
  return update.Transition(
    observation=rng.normal(size=(size, 3)).astype(np.float32),
    action=rng.integers(-1, 2, size=(size, 2)).astype(np.float32),
    reward=rng.normal(size=size).astype(np.float32),
    discount=np.ones(size, np.float32),
    next_observation=rng.normal(size=(size, 3)).astype(np.float32),
  )


def advantages(networks, params, tau):
  """tau (log pi(a|s) - log pi(a_0|s)) of all actions."""
  log_probs = networks.policy.log_prob(params, OBSERVATIONS, ACTIONS)
  return tau * np.asarray(log_probs - log_probs[0])


@functools.lru_cache
def start(config=CONFIG):
  networks = make_networks(SPEC, config)
  step = jax.jit(functools.partial(update.sgd_step, networks=networks, config=config))
  return networks, update.init_state(jax.random.PRNGKey(0), networks, config), step


@pytest.mark.parametrize('scaled', [False, True])
def test_temperature_moves_the_entropy_and_keeps_the_advantages(scaled):
  config = dataclasses.replace(CONFIG, scale_logits_by_temperature=scaled)
  networks, state, _ = start(config)
  params = state.params.policy
  warmer = temperature.with_log_ratio(params, jnp.log(4.0))
  entropies = [
    float(networks.policy.entropy(p, OBSERVATIONS, ACTIONS)[0])
    for p in (params, warmer)
  ]
  assert entropies[1] > entropies[0] + 0.01
  np.testing.assert_allclose(
    advantages(networks, warmer, 4 * 0.5), advantages(networks, params, 0.5), atol=1e-6
  )


def test_without_the_leaf_the_temperature_multiplies_the_advantages():
  # Why the logits are divided: nothing holds them against the temperature otherwise.
  networks, state, _ = start(dataclasses.replace(CONFIG, target_entropy_per_dim=None))
  params = state.params.policy
  found = [advantages(networks, params, tau) for tau in (0.5, 2.0)]
  assert np.abs(found[0]).max() > 0.1
  np.testing.assert_allclose(found[1], 4 * found[0], rtol=1e-6)


def test_at_its_first_value_it_is_the_papers_policy():
  networks, state, _ = start()
  plain = make_networks(SPEC, dataclasses.replace(CONFIG, target_entropy_per_dim=None))
  params = dict(state.params.policy)
  assert float(temperature.log_ratio(params)) == 0
  del params['~']
  np.testing.assert_array_equal(
    networks.policy.log_prob(state.params.policy, OBSERVATIONS, ACTIONS),
    plain.policy.log_prob(params, OBSERVATIONS, ACTIONS),
  )


@pytest.mark.parametrize('num_pairs', [1, 2])
def test_a_step_moves_one_temperature_by_the_entropy_that_is_missing(num_pairs):
  config = dataclasses.replace(CONFIG, num_pairs=num_pairs)
  _, state, step = start(config)
  for count in range(3):
    ratio = temperature.log_ratio(state.params.policy)
    state, metrics = step(state, batch_of(8, seed=count))
    np.testing.assert_allclose(metrics['temperature'], 0.5 * np.exp(ratio), rtol=1e-6)
    missing = 0.6 - metrics['policy_entropy_per_dim']
    assert abs(missing) > 0.1
    for pair in (*state.params.pairs, *state.target_params.pairs):
      np.testing.assert_allclose(
        temperature.log_ratio(pair.policy), ratio + 0.05 * missing, rtol=1e-5
      )


@pytest.mark.parametrize('separate', [True, False])
def test_adam_and_the_loss_leave_the_temperature_alone(separate):
  config = dataclasses.replace(
    CONFIG, separate_value=separate, scale_logits_by_temperature=not separate
  )
  networks, state, _ = start(config)
  config = dataclasses.replace(config, temperature=0.7)
  gradient, _ = jax.grad(update.batch_loss, has_aux=True)(
    state.params, state.target_params, batch_of(8), networks=networks, config=config
  )
  assert float(temperature.log_ratio(gradient.policy)) == 0


def test_the_loss_is_that_of_the_temperature_of_the_moment():
  networks, state, step = start()
  warm = temperature.with_log_ratio(state.params.policy, jnp.log(1.5))
  state = state._replace(
    params=state.params._replace(policy=warm),
    target_params=state.target_params._replace(policy=warm),
  )
  loss, _ = update.batch_loss(
    state.params,
    state.target_params,
    batch_of(8),
    networks=networks,
    config=dataclasses.replace(CONFIG, temperature=0.75),
  )
  np.testing.assert_allclose(step(state, batch_of(8))[1]['loss'], loss, rtol=1e-5)


def test_entropy_comes_to_its_target_from_either_side():
  for target in (0.3, 0.9):
    config = dataclasses.replace(CONFIG, target_entropy_per_dim=target)
    _, state, step = start(config)
    for count in range(400):
      state, metrics = step(state, batch_of(64, seed=count % 16))
    np.testing.assert_allclose(metrics['policy_entropy_per_dim'], target, atol=0.05)


def test_temperature_waits_for_the_policys_first_step():
  _, state, step = start(dataclasses.replace(CONFIG, policy_start=1))
  state, _ = step(state, batch_of(8))
  assert float(temperature.log_ratio(state.params.policy)) == 0
  state, _ = step(state, batch_of(8))
  assert float(temperature.log_ratio(state.params.policy)) != 0


def test_a_policy_file_keeps_the_temperature(tmp_path):
  networks, state, _ = start()
  params = temperature.with_log_ratio(state.params.policy, jnp.log(100.0))
  variables = ActingVariables(params, None, False)
  path = str(tmp_path / 'policy.npz')
  save_policy(path, variables, networks.environment_spec, CONFIG, {})
  loaded = load_policy(path)
  np.testing.assert_array_equal(
    temperature.log_ratio(loaded.variables.params), np.float32(np.log(100.0))
  )


@pytest.mark.parametrize('family', ['gaussian', 'autoregressive'])
def test_other_families_are_refused(family):
  with pytest.raises(
    ValueError, match=f"target_entropy_per_dim.*policy_family '{family}'"
  ):
    dataclasses.replace(CONFIG, policy_family=family)


def test_an_entropy_beyond_uniform_is_refused_of_integers_too():
  actions = specs.BoundedArray((2,), np.int32, [0, 0], [1, 3])
  spec = SimpleNamespace(observations=SPEC.observations, actions=actions)
  uniform = (np.log(2) + np.log(4)) / 2
  config = dataclasses.replace(CONFIG, target_entropy_per_dim=uniform)
  with pytest.raises(ValueError, match=r'target_entropy_per_dim is 1.039'):
    make_networks(spec, config)
  make_networks(spec, dataclasses.replace(config, target_entropy_per_dim=1.03))


def test_an_entropy_beyond_uniform_is_refused():
  config = dataclasses.replace(CONFIG, target_entropy_per_dim=1.1)
  with pytest.raises(
    ValueError, match=r'target_entropy_per_dim is 1.1; .* below 1.099'
  ):
    make_networks(SPEC, config)
