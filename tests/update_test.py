import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_networks import CONFIG, NETWORKS, batch_of, jitted_step

from iq_acme import update

ALGORITHMS = {
  'IQ': {'munchausen_coefficient': 0.0, 'value_bootstrap': 'target'},
  'M-IQ': {'munchausen_coefficient': 0.9, 'value_bootstrap': 'target'},
  'PCL': {'munchausen_coefficient': 0.0, 'value_bootstrap': 'online'},
  'Trust-PCL': {'munchausen_coefficient': 0.9, 'value_bootstrap': 'online'},
}

# --- One step against numpy -----------------------------------------------------------


def numpy_step(state, batch, config):
  """Eq. 2, its gradient, Adam and the Polyak average, in numpy and float64.

  `state` holds `W`, `v`, their targets `W_`, `v_`, Adam's moments and the step.
  """
  size, tau, alpha = (
    len(batch.reward),
    config.temperature,
    config.munchausen_coefficient,
  )
  online = config.value_bootstrap == 'online'
  one_hot = np.eye(3)[batch.action.astype(int)]
  s, next_s = np.float64(batch.observation), np.float64(batch.next_observation)
  discount = config.discount * batch.discount

  def log_softmax(weights):
    logits = np.einsum('bi,idn->bdn', s, weights)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

  log_probs = log_softmax(state['W'])
  log_policy = (one_hot * log_probs).sum((1, 2))
  munchausen = alpha * tau * (one_hot * log_softmax(state['W_'])).sum((1, 2))
  bootstrap = next_s @ state['v' if online else 'v_']
  value = s @ state['v']
  error = batch.reward + munchausen + discount * bootstrap - tau * log_policy - value

  probs = np.exp(log_probs)
  slope = 2 * error / size
  gradient = {
    'W': np.einsum('b,bi,bdn->idn', -tau * slope, s, one_hot - probs),
    'v': slope @ (discount[:, None] * next_s * online - s),
  }
  new = {'step': state['step'] + 1}
  for name, g in gradient.items():
    new['m' + name] = 0.9 * state['m' + name] + 0.1 * g
    new['s' + name] = 0.999 * state['s' + name] + 0.001 * g**2
    m = new['m' + name] / (1 - 0.9 ** new['step'])
    second = new['s' + name] / (1 - 0.999 ** new['step'])
    new[name] = state[name] - config.learning_rate * m / (np.sqrt(second) + 1e-8)
    rate = config.target_update_rate
    new[name + '_'] = (1 - rate) * state[name + '_'] + rate * new[name]
  metrics = {
    'loss': (error**2).mean(),
    'td_error_mean': error.mean(),
    'td_error_abs_mean': np.abs(error).mean(),
    'value_mean': value.mean(),
    'log_policy_mean': log_policy.mean(),
    'log_policy_min': log_policy.min(),
    'munchausen_term_mean': munchausen.mean(),
    'policy_entropy_per_dim': -(probs * log_probs).sum((1, 2)).mean() / 2,
    'gradient_norm': np.sqrt(sum((g**2).sum() for g in gradient.values())),
  }
  return new, metrics


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_three_steps_are_those_of_an_independent_computation(algorithm):
  config = dataclasses.replace(CONFIG, **ALGORITHMS[algorithm])
  state = update.init_state(jax.random.PRNGKey(0), NETWORKS, config)
  policy, value = (np.float64(leaf) for leaf in state.params[:2])
  expected = {'W': policy, 'W_': policy, 'v': value, 'v_': value, 'step': 0}
  expected |= {'mW': 0 * policy, 'sW': 0 * policy, 'mv': 0 * value, 'sv': 0 * value}
  step = jitted_step(config)
  for seed in range(3):
    batch = batch_of(8, seed)
    state, metrics = step(state, batch)
    expected, expected_metrics = numpy_step(expected, batch, config)
    found = {
      'W': state.params.policy,
      'v': state.params.value,
      'W_': state.target_params.policy,
      'v_': state.target_params.value,
      'mW': state.optimizer_state[0].mu.policy,
      'mv': state.optimizer_state[0].mu.value,
      'sW': state.optimizer_state[0].nu.policy,
      'sv': state.optimizer_state[0].nu.value,
      'step': state.steps,
    }
    assert set(found) == set(expected)
    for name, leaf in found.items():
      np.testing.assert_allclose(leaf, expected[name], rtol=1e-4, atol=1e-6)
    assert set(metrics) == set(expected_metrics)
    for name, metric in metrics.items():
      np.testing.assert_allclose(metric, expected_metrics[name], rtol=1e-4, atol=1e-6)


def test_algorithms_differ_by_their_configuration():
  after = {}
  for name, fields in ALGORITHMS.items():
    config = dataclasses.replace(CONFIG, **fields)
    state = update.init_state(jax.random.PRNGKey(0), NETWORKS, config)
    step = jitted_step(config)
    for seed in range(2):
      state, _ = step(state, batch_of(8, seed))
    after[name] = np.concatenate([np.ravel(x) for x in jax.tree.leaves(state.params)])
  names = list(after)
  for i, name in enumerate(names):
    for other in names[i + 1 :]:
      assert np.abs(after[name] - after[other]).max() > 1e-3


# --- By hand ---------------------------------------------------------------------------


def hand_transition(discount=1.0):
  """s = (2, 0), s' = (3, 0), r = 1; with W = 0 every log pi is 2 ln(1/3)."""
  return update.Transition(
    observation=np.float32([[2, 0]]),
    action=np.float32([[0, 1]]),
    reward=np.float32([1]),
    discount=np.float32([discount]),
    next_observation=np.float32([[3, 0]]),
  )


def hand_loss(params, target_params, discount=1.0, **fields):
  config = dataclasses.replace(CONFIG, munchausen_coefficient=0.0, **fields)
  return update.batch_loss(
    params, target_params, hand_transition(discount), networks=NETWORKS,
    config=config,
  )  # fmt: skip


def hand_params(v):
  return update.IQParams(policy=jnp.zeros((2, 2, 3)), value=jnp.float32([v, 0]))


@pytest.mark.parametrize(
  ('bootstrap', 'v_of_next', 'slope'),
  # tau log pi = 0.5 * -2 ln 3 = -ln 3, V(s) = 2, gamma = 0.8.
  # target: V(s') = 3 * 10; d error / d v = -2.
  # online: V(s') = 3 * 1; d error / d v = 0.8 * 3 - 2.
  [('target', 30.0, -2.0), ('online', 3.0, 0.4)],
)
def test_gradient_flows_through_an_online_bootstrap_only(bootstrap, v_of_next, slope):
  error = 1 + 0.8 * v_of_next + np.log(3) - 2
  loss, _ = hand_loss(hand_params(1.0), hand_params(10.0), value_bootstrap=bootstrap)
  np.testing.assert_allclose(loss, error**2, rtol=1e-5)
  gradient, _ = jax.grad(hand_loss, has_aux=True)(
    hand_params(1.0), hand_params(10.0), value_bootstrap=bootstrap
  )
  np.testing.assert_allclose(gradient.value, [2 * error * slope, 0], rtol=1e-5)


@pytest.mark.parametrize(
  ('discount', 'bootstrap'),
  [
    (0.0, 0.0),  # Terminated.
    (1.0, 0.8 * 30),  # Going on, or cut off by a time limit.
    (0.8**2, 0.8**3 * 30),  # Three steps: Acme's adder gives gamma^(n - 1).
  ],
)
def test_bootstrap_is_weighed_by_one_more_gamma_than_the_transitions_discount(
  discount, bootstrap
):
  _, metrics = hand_loss(hand_params(1.0), hand_params(10.0), discount)
  np.testing.assert_allclose(
    metrics['td_error_mean'], 1 + bootstrap + np.log(3) - 2, rtol=1e-5
  )


def test_targets_follow_by_the_polyak_rate_after_adams_step():
  config = dataclasses.replace(CONFIG, target_update_rate=0.25)
  state = update.init_state(jax.random.PRNGKey(0), NETWORKS, config)
  state = state._replace(params=hand_params(1.0), target_params=hand_params(3.0))
  after, _ = update.sgd_step(
    state, hand_transition(0.0), networks=NETWORKS, config=config
  )
  # Adam's first step is the learning rate, 0.1, whatever the gradient's size. The
  # target: 0.75 * 3 + 0.25 * v. The second element gets no gradient.
  moved = float(after.params.value[0])
  np.testing.assert_allclose(abs(moved - 1), 0.1, rtol=1e-4)
  np.testing.assert_allclose(
    after.target_params.value, [2.25 + 0.25 * moved, 0], rtol=1e-6
  )
  np.testing.assert_allclose(
    after.target_params.policy, 0.25 * after.params.policy, rtol=1e-6
  )
  assert np.abs(after.params.policy).max() > 0.09


@pytest.mark.parametrize(('coefficient', 'is_read'), [(0.0, False), (0.9, True)])
def test_the_target_policy_is_read_only_where_it_is_paid_for(coefficient, is_read):
  config = dataclasses.replace(CONFIG, munchausen_coefficient=coefficient)
  state = update.init_state(jax.random.PRNGKey(0), NETWORKS, config)
  spoiled = state.target_params._replace(
    policy=jnp.full_like(state.target_params.policy, jnp.nan)
  )
  loss, metrics = update.batch_loss(
    state.params, spoiled, batch_of(8), networks=NETWORKS, config=config
  )
  assert np.isnan(loss) == np.isnan(metrics['munchausen_term_mean']) == is_read
