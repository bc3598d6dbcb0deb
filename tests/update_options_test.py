"""What the paper leaves open: settings that are off by default."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_networks import CONFIG, NETWORKS, batch_of, jitted_step

from iq_acme import update


def with_pairs(*pairs):
  return pairs[0]._replace(others=pairs[1:])


def test_pairs_share_the_smallest_bootstrap_and_nothing_else():
  config = dataclasses.replace(CONFIG, num_pairs=2)
  one, other = (
    update.init_state(jax.random.PRNGKey(seed), NETWORKS, CONFIG).params
    for seed in (0, 1)
  )
  target, other_target = (
    update.init_state(jax.random.PRNGKey(seed), NETWORKS, CONFIG).params
    for seed in (2, 3)
  )
  batch = batch_of(8)
  gradient, metrics = jax.grad(update.batch_loss, has_aux=True)(
    with_pairs(one, other),
    with_pairs(target, other_target),
    batch,
    networks=NETWORKS,
    config=config,
  )
  smallest = np.minimum(
    batch.next_observation @ target.value, batch.next_observation @ other_target.value
  )
  # Each pair alone, given that bootstrap through its reward, and no V(s') of its own.
  lent = batch._replace(
    reward=batch.reward + CONFIG.discount * batch.discount * smallest,
    discount=np.zeros(8, np.float32),
  )
  for pair, its_target, found in zip(
    (one, other), (target, other_target), gradient.pairs
  ):
    alone, alone_metrics = jax.grad(update.batch_loss, has_aux=True)(
      pair, its_target, lent, networks=NETWORKS, config=CONFIG
    )
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), found, alone
    )
    if pair is one:  # The pair that acts is the one that metrics are of.
      np.testing.assert_allclose(metrics['loss'], alone_metrics['loss'], rtol=1e-5)


def test_pairs_start_apart_and_the_first_as_if_it_were_alone():
  alone = update.init_state(jax.random.PRNGKey(0), NETWORKS, CONFIG)
  state = update.init_state(
    jax.random.PRNGKey(0), NETWORKS, dataclasses.replace(CONFIG, num_pairs=3)
  )
  first, *others = state.params.pairs
  assert len(others) == 2
  jax.tree.map(np.testing.assert_array_equal, first, alone.params)
  values = [tuple(np.asarray(pair.value)) for pair in (first, *others)]
  assert len(set(values)) == 3
  np.testing.assert_array_equal(state.key, alone.key)


@pytest.mark.parametrize(('step', 'size'), [(0, 0.0), (1, 0.0), (2, 0.25), (3, 0.25)])
def test_policy_starts_late_and_takes_steps_of_its_own_size(step, size):
  config = dataclasses.replace(
    CONFIG, policy_start=2, policy_learning_rate=0.25 * CONFIG.learning_rate
  )
  state = update.init_state(jax.random.PRNGKey(0), NETWORKS, CONFIG)
  state = state._replace(steps=jnp.int32(step))
  plain = jitted_step(CONFIG)(state, batch_of(8))[0]
  changed = jitted_step(config)(state, batch_of(8))[0]
  np.testing.assert_array_equal(changed.params.value, plain.params.value)
  np.testing.assert_allclose(
    changed.params.policy - state.params.policy,
    size * (plain.params.policy - state.params.policy),
    rtol=1e-3,
    atol=1e-6,
  )


def test_further_pairs_take_steps_of_the_policys_size_too():
  config = dataclasses.replace(CONFIG, num_pairs=2)
  slow = dataclasses.replace(config, policy_learning_rate=0.5 * CONFIG.learning_rate)
  state = update.init_state(jax.random.PRNGKey(0), NETWORKS, config)
  plain = jitted_step(config)(state, batch_of(8))[0].params.others[0]
  changed = jitted_step(slow)(state, batch_of(8))[0].params.others[0]
  start = state.params.others[0]
  np.testing.assert_array_equal(changed.value, plain.value)
  np.testing.assert_allclose(
    changed.policy - start.policy, 0.5 * (plain.policy - start.policy), atol=1e-6
  )


def test_centred_error_teaches_the_policy_what_is_left_of_it_and_v_all():
  state = update.init_state(jax.random.PRNGKey(0), NETWORKS, CONFIG)
  batch = batch_of(8)

  def gradient(config):
    return jax.grad(update.batch_loss, has_aux=True)(
      state.params, state.target_params, batch, networks=NETWORKS, config=config
    )

  plain, metrics = gradient(CONFIG)
  centred, _ = gradient(dataclasses.replace(CONFIG, center_policy_error=True))
  np.testing.assert_array_equal(centred.value, plain.value)
  # What the mean error by itself would teach: -2 tau mean(error) d mean(log pi).
  taught = jax.grad(
    lambda policy: jnp.mean(
      NETWORKS.policy.log_prob(policy, batch.observation, batch.action)
    )
  )(state.params.policy)
  common = -2 * CONFIG.temperature * metrics['td_error_mean'] * taught
  np.testing.assert_allclose(
    centred.policy, plain.policy - common, rtol=1e-4, atol=1e-6
  )
  assert np.abs(common).max() > 1e-3
