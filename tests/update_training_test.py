"""The update on the networks that are trained; `update_test.py` has the arithmetic."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks

CONFIG = IQConfig(
  temperature=0.5,
  learning_rate=0.1,
  num_action_values=3,
  hidden_layer_sizes=(8,),
  # Outputs that differ from the start: at the default scale a few steps show little.
  output_init_scale=1.0,
)
SPEC = SimpleNamespace(
  observations={
    'x': specs.Array((2,), np.float32),
    'y': specs.Array((), np.float32),
  },
  actions=specs.BoundedArray((2,), np.float32, -0.4, 0.4),
)
NETWORKS = make_networks(SPEC, CONFIG)
METRICS = {
  'loss',
  'td_error_mean',
  'td_error_abs_mean',
  'value_mean',
  'log_policy_mean',
  'log_policy_min',
  'munchausen_term_mean',
  'gradient_norm',
}


def batch_of(size, seed=0):
  rng = np.random.default_rng(seed)

  def observation():
    return {
      'x': rng.normal(3, 2, size=(size, 2)).astype(np.float32),
      'y': rng.normal(-5, 0.1, size=size).astype(np.float32),
    }

  return update.Transition(
    observation=observation(),
    action=rng.uniform(-0.4, 0.4, size=(size, 2)).astype(np.float32),
    reward=rng.normal(size=size).astype(np.float32),
    discount=np.ones(size, np.float32),
    next_observation=observation(),
  )


@functools.lru_cache
def jitted(step, config):
  return jax.jit(functools.partial(step, networks=NETWORKS, config=config))


def init(config, seed=0):
  return update.init_state(jax.random.PRNGKey(seed), NETWORKS, config)


def assert_bit_equal(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, **tolerance):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


@pytest.mark.parametrize('bootstrap', ['target', 'online'])
def test_gradient_reaches_both_online_networks_and_no_target(bootstrap):
  config = dataclasses.replace(CONFIG, value_bootstrap=bootstrap)
  params, target_params = init(config, 0).params, init(config, 1).params
  gradients, _ = jax.jit(
    jax.grad(
      functools.partial(update.batch_loss, networks=NETWORKS, config=config),
      argnums=(0, 1),
      has_aux=True,
    )
  )(params, target_params, batch_of(32))
  of_params, of_targets = gradients
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(of_params))
  assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(of_targets))


def test_fresh_state_has_equal_targets_in_buffers_of_their_own():
  state = init(CONFIG)
  assert_bit_equal(state.params, state.target_params)
  for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(state.target_params)):
    assert a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer()
  assert state.steps == 0
  assert state.normalizer is None


def test_normaliser_is_there_where_the_config_asks_for_it():
  state = init(dataclasses.replace(CONFIG, normalize_observations=True))
  assert state.normalizer.count == 0
  assert state.normalizer.mean['x'].shape == (2,)


@pytest.mark.parametrize('normalize', [False, True])
def test_three_steps_in_one_call_are_three_calls_on_the_parts_in_order(normalize):
  config = dataclasses.replace(
    CONFIG, normalize_observations=normalize, num_sgd_steps_per_step=3
  )
  batch = batch_of(3 * 16)
  together, metrics = jitted(update.sgd_steps, config)(init(config), batch)
  state, rows = init(config), []
  for k in range(3):
    part = jax.tree.map(lambda x, k=k: x[16 * k : 16 * (k + 1)], batch)
    state, row = jitted(update.sgd_step, config)(state, part)
    rows.append(row)
  assert together.steps == 3
  # XLA compiles the body of a scan by itself, so the last bits may differ.
  assert_close(together, state, rtol=1e-4, atol=1e-5)
  assert set(metrics) == set(rows[0])
  for name, metric in metrics.items():
    reduce = np.min if name == 'log_policy_min' else np.mean
    np.testing.assert_allclose(metric, reduce([row[name] for row in rows]), rtol=1e-5)


def test_one_seed_gives_bit_equal_states_and_another_does_not():
  def train(seed):
    state = init(CONFIG, seed)
    for k in range(3):
      state, _ = jitted(update.sgd_step, CONFIG)(state, batch_of(16, k))
    return state

  first = train(0)
  assert_bit_equal(first, train(0))
  weights = [jax.tree.leaves(state.params.policy)[1] for state in (first, train(1))]
  assert np.any(weights[0] != weights[1])


def test_normalised_step_is_a_plain_step_on_standardised_observations():
  normalising = dataclasses.replace(CONFIG, normalize_observations=True)
  batches = [batch_of(16, 0), batch_of(48, 1)]
  found = init(normalising)
  plain = init(CONFIG)
  for k, batch in enumerate(batches):
    found, _ = jitted(update.sgd_step, normalising)(found, batch)
    standardised = {}
    for name in ('observation', 'next_observation'):
      standardised[name] = {}
      for leaf in ('x', 'y'):
        # Everything observed so far, this batch included; s' does not count.
        seen = np.concatenate([b.observation[leaf] for b in batches[: k + 1]])
        standardised[name][leaf] = np.clip(
          (getattr(batch, name)[leaf] - seen.mean(0)) / seen.std(0), -10, 10
        )
    plain, _ = jitted(update.sgd_step, CONFIG)(plain, batch._replace(**standardised))
  assert found.normalizer.count == 64
  assert_close(
    (found.params, found.target_params),
    (plain.params, plain.target_params),
    rtol=1e-2,
    atol=1e-3,
  )


@pytest.mark.parametrize(
  ('family', 'entropy'),
  [
    ('multicategorical', 'policy_entropy_per_dim'),
    ('autoregressive', 'conditional_entropy_per_dim'),
    ('gaussian', 'base_normal_entropy_per_dim'),
  ],
)
@pytest.mark.parametrize('num_steps', [1, 2])
def test_metrics_are_float_scalars_under_their_names(family, entropy, num_steps):
  config = dataclasses.replace(
    CONFIG, policy_family=family, num_sgd_steps_per_step=num_steps
  )
  networks = make_networks(SPEC, config)
  state = jax.eval_shape(
    lambda key: update.init_state(key, networks, config), jax.random.PRNGKey(0)
  )
  after, metrics = jax.eval_shape(
    functools.partial(update.sgd_steps, networks=networks, config=config),
    state,
    batch_of(8),
  )
  assert set(metrics) == METRICS | {entropy}
  assert all(m.shape == () and m.dtype == jnp.float32 for m in metrics.values())
  # The state's shapes and dtypes never change, so nothing compiles twice.
  assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
    lambda x: (x.shape, x.dtype), state
  )


@pytest.mark.parametrize(
  ('field', 'value'), [('reward', np.nan), ('reward', np.inf), ('discount', np.nan)]
)
def test_non_finite_data_show_in_the_loss(field, value):
  batch = batch_of(16)
  spoiled = np.array(getattr(batch, field))
  spoiled[3] = value
  _, metrics = jitted(update.sgd_step, CONFIG)(
    init(CONFIG), batch._replace(**{field: spoiled})
  )
  assert not np.isfinite(metrics['loss'])
