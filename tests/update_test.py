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
from iq_acme.networks import IQNetworks, ValueNetwork
from iq_acme.policies import Policy

ALGORITHMS = {
  'IQ': {'munchausen_coefficient': 0.0, 'value_bootstrap': 'target'},
  'M-IQ': {'munchausen_coefficient': 0.9, 'value_bootstrap': 'target'},
  'PCL': {'munchausen_coefficient': 0.0, 'value_bootstrap': 'online'},
  'Trust-PCL': {'munchausen_coefficient': 0.9, 'value_bootstrap': 'online'},
}
CONFIG = IQConfig(
  temperature=0.5,
  discount=0.8,
  learning_rate=0.1,
  target_update_rate=0.3,
  num_action_values=3,
  hidden_layer_sizes=(8,),
)
SPEC = SimpleNamespace(
  observations=specs.Array((2,), np.float32),
  actions=specs.BoundedArray((2,), np.float32, 0.0, 2.0),
)


def batch_of(size, seed=0):
  rng = np.random.default_rng(seed)
  return update.Transition(
    observation=rng.normal(size=(size, 2)).astype(np.float32),
    action=rng.integers(0, 3, size=(size, 2)).astype(np.float32),
    reward=rng.normal(size=size).astype(np.float32),
    discount=(np.arange(size) % 4 != 3).astype(np.float32),  # Every fourth is an end.
    next_observation=rng.normal(size=(size, 2)).astype(np.float32),
  )


# --- One step against numpy -----------------------------------------------------------
# Linear networks: V(s) = s . v, and logits s . W of 2 dimensions with 3 values each;
# action 0, 1 or 2 is its own index.


def linear_networks():
  def log_softmax(params, observation):
    return jax.nn.log_softmax(jnp.einsum('bi,idn->bdn', observation, params))

  def log_prob(params, observation, action):
    one_hot = jax.nn.one_hot(action.astype(int), 3)
    return jnp.sum(one_hot * log_softmax(params, observation), axis=(1, 2))

  def entropy(params, observation):
    log_probs = log_softmax(params, observation)
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=(1, 2))

  policy = Policy(
    init=lambda key: jax.random.normal(key, (2, 2, 3)),
    log_prob=log_prob,
    sample=None,
    mode=None,
    entropy=entropy,
    sample_uniform=None,
  )
  value = ValueNetwork(
    init=lambda key: jax.random.normal(key, (2,)), apply=lambda v, s: s @ v
  )
  return IQNetworks(policy=policy, value=value, environment_spec=SPEC)


NETWORKS = linear_networks()


@functools.lru_cache
def jitted_step(config):
  return jax.jit(functools.partial(update.sgd_step, networks=NETWORKS, config=config))


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


# --- What the paper leaves open ----------------------------------------------------------


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
