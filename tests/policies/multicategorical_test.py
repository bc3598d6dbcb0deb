import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from dm_env import specs

from iq_acme import losses, policies
from iq_acme.config import POLICY_FAMILIES, IQConfig
from iq_acme.policies import grid

OBSERVATION = np.array([0.3, -1.2, 2.0], np.float32)
BOUNDS = (
  ([-1.0, -1.0], [1.0, 1.0]),
  ([-0.4, -0.4], [0.4, 0.4]),
  ([0.0, 0.0], [2.0, 2.0]),
  ([-1.0, -1.0], [3.0, 3.0]),
  ([-0.1, 100.0], [0.2, 100.1]),
)
# Counts of 9 actions stray further than this in one of a thousand seeds.
MAX_CHI2 = scipy.stats.chi2.ppf(0.999, df=8)


def make_policy(minimum=(-0.4, 0.0), maximum=(0.4, 2.0), *, seed=0, **fields):
  fields = {'num_action_values': 3, 'hidden_layer_sizes': (8,), **fields}
  spec = SimpleNamespace(
    observations=specs.Array((3,), np.float32),
    actions=specs.BoundedArray((len(minimum),), np.float32, minimum, maximum),
  )
  # Networks whose outputs differ from the start.
  config = IQConfig(output_init_scale=1.0, **fields)
  policy = policies.make_policy(spec, config)
  return policy, policy.init(jax.random.PRNGKey(seed))


def values_by_hand(minimum, maximum, n):
  return [
    [low + j * (high - low) / (n - 1) for j in range(n)]
    for low, high in zip(minimum, maximum)
  ]


def logits_by_hand(params, num_dimensions, num_values):
  """The policy's network in numpy, float64."""
  (w0, b0), (w1, b1) = (
    (np.float64(params[name]['w']), np.float64(params[name]['b']))
    for name in sorted(params)
  )
  logits = np.maximum(OBSERVATION @ w0 + b0, 0) @ w1 + b1
  return logits.reshape(num_dimensions, num_values)


def log_softmax(logits):
  logits = logits - logits.max(-1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture(scope='module')
def enumerated():
  """All 9 actions of 2 dimensions x 3 values, and their log-probabilities."""
  policy, params = make_policy()
  actions = np.array(list(itertools.product([-0.4, 0.0, 0.4], [0.0, 1.0, 2.0])))
  observations = np.tile(OBSERVATION, (9, 1))
  log_probs = jax.jit(policy.log_prob)(params, observations, actions)
  return SimpleNamespace(
    policy=policy,
    params=params,
    actions=actions.astype(np.float32),
    observations=observations,
    log_probs=np.float64(log_probs),
  )


# --- The values of the multicategorical policy ------------------------------------


@pytest.mark.parametrize(('minimum', 'maximum'), BOUNDS)
@pytest.mark.parametrize('n', [2, 3, 11, 101])
def test_values_are_evenly_spaced_and_include_the_end_points(minimum, maximum, n):
  values = grid.action_values(minimum, maximum, n)
  assert values.dtype == np.float32
  np.testing.assert_allclose(values, values_by_hand(minimum, maximum, n), atol=1e-6)
  np.testing.assert_array_equal(values[:, 0], np.float32(minimum))
  np.testing.assert_array_equal(values[:, -1], np.float32(maximum))


@pytest.mark.parametrize(('minimum', 'maximum'), BOUNDS)
@pytest.mark.parametrize('n', [2, 3, 11, 101])
def test_each_value_maps_back_to_its_own_index(minimum, maximum, n):
  minimum, maximum = np.float32(minimum), np.float32(maximum)
  values = grid.action_values(minimum, maximum, n)
  index = jax.jit(grid.action_to_index, static_argnums=3)(values.T, minimum, maximum, n)
  np.testing.assert_array_equal(index, np.arange(n)[:, None] * np.ones((1, 2), int))


@pytest.mark.parametrize(
  ('action', 'index'),
  # The values are -1, 0, 1, 2, 3.
  [
    (-1.0, 0),
    (-0.51, 0),
    (-0.49, 1),
    (0.49, 1),
    (0.51, 2),
    (2.49, 3),
    (2.51, 4),
    (3.0, 4),
    (3.2, 4),
    (1e6, 4),
    (np.inf, 4),
    (-1.7, 0),
    (-1e6, 0),
  ],
)
def test_foreign_action_maps_to_the_nearest_value(action, index):
  args = jnp.float32([action]), jnp.float32([-1]), jnp.float32([3])
  assert grid.action_to_index(*args, 5).tolist() == [index]


# --- Its probabilities --------------------------------------------------------------


def test_probabilities_of_all_actions_sum_to_one(enumerated):
  np.testing.assert_allclose(np.exp(enumerated.log_probs).sum(), 1, rtol=1e-6)
  assert np.ptp(enumerated.log_probs) > 0.1  # Not the uniform policy.


@pytest.mark.parametrize(('scaled', 'factor'), [(False, 1.0), (True, 1 / 0.05)])
def test_log_policy_is_the_sum_of_the_log_softmax_of_each_dimension(
  enumerated, scaled, factor
):
  policy, params = make_policy(temperature=0.05, scale_logits_by_temperature=scaled)
  log_softmaxes = log_softmax(factor * logits_by_hand(params, 2, 3))
  by_hand = [
    log_softmaxes[0, i] + log_softmaxes[1, j]
    for i, j in itertools.product(range(3), range(3))
  ]
  log_probs = policy.log_prob(params, enumerated.observations, enumerated.actions)
  np.testing.assert_allclose(log_probs, by_hand, rtol=1e-4, atol=1e-5)


def test_temperature_leaves_unscaled_logits_alone(enumerated):
  policy, params = make_policy(temperature=0.5)
  np.testing.assert_allclose(
    policy.log_prob(params, enumerated.observations, enumerated.actions),
    enumerated.log_probs,
    rtol=1e-6,
  )


@pytest.mark.parametrize('temperature', [1e-3, 0.01, 0.1, 1.0, 10.0])
def test_policy_is_the_softmax_of_its_implicit_q_value(enumerated, temperature):
  value = 1.7
  q_values = losses.implicit_q_value(enumerated.log_probs, value, temperature)
  softmax = np.exp(log_softmax(q_values / temperature))
  # The policy itself is normalised to float32's precision.
  np.testing.assert_allclose(softmax, np.exp(enumerated.log_probs), rtol=1e-6)
  soft_value = losses.soft_value(jnp.float32(q_values), temperature)
  np.testing.assert_allclose(soft_value, value, rtol=1e-6)


def test_log_probability_of_a_foreign_action_is_its_nearest_values(enumerated):
  moved = enumerated.actions + np.array([0.19, -0.49])  # Half a step is 0.2 and 0.5.
  log_probs = enumerated.policy.log_prob(
    enumerated.params, enumerated.observations, moved
  )
  np.testing.assert_allclose(log_probs, enumerated.log_probs, rtol=1e-6)


def test_sampled_actions_follow_the_probabilities(enumerated):
  num_samples = 20_000
  samples = jax.jit(enumerated.policy.sample)(
    enumerated.params, jax.random.PRNGKey(3), np.tile(OBSERVATION, (num_samples, 1))
  )
  counts = np.array([np.all(samples == a, axis=1).sum() for a in enumerated.actions])
  assert counts.sum() == num_samples  # Nothing off the grid.
  expected = num_samples * np.exp(enumerated.log_probs)
  assert ((counts - expected) ** 2 / expected).sum() < MAX_CHI2


def test_uniform_actions_are_on_the_grid_and_uniform(enumerated):
  num_samples = 20_000
  samples = np.asarray(
    enumerated.policy.sample_uniform(jax.random.PRNGKey(4), num_samples)
  )
  counts = np.array([np.all(samples == a, axis=1).sum() for a in enumerated.actions])
  assert counts.sum() == num_samples
  assert ((counts - num_samples / 9) ** 2 / (num_samples / 9)).sum() < MAX_CHI2


@pytest.mark.parametrize('seed', range(5))
def test_mode_is_the_most_likely_action(enumerated, seed):
  policy, params = make_policy(seed=seed)
  log_probs = policy.log_prob(params, enumerated.observations, enumerated.actions)
  mode = policy.mode(params, enumerated.observations)
  assert mode.shape == (9, 2)
  np.testing.assert_array_equal(mode[0], enumerated.actions[np.argmax(log_probs)])


def test_entropy_is_that_of_all_actions(enumerated):
  entropy = enumerated.policy.entropy(
    enumerated.params, enumerated.observations, enumerated.actions
  )
  by_hand = -(np.exp(enumerated.log_probs) * enumerated.log_probs).sum()
  np.testing.assert_allclose(entropy, np.full(9, by_hand), rtol=1e-5)
  assert enumerated.policy.entropy_name == 'policy_entropy'


def test_gradient_of_the_log_policy_is_one_hot_minus_softmax(enumerated):
  # With respect to the output's bias, which the logits are a sum with.
  observation, action = enumerated.observations[:1], enumerated.actions[5:6]
  gradient = jax.grad(
    lambda params: enumerated.policy.log_prob(params, observation, action)[0]
  )(enumerated.params)
  softmax = np.exp(log_softmax(logits_by_hand(enumerated.params, 2, 3)))
  one_hot = np.array([[0, 1, 0], [0, 0, 1]])  # Action 5 is (1, 2).
  output = sorted(gradient)[-1]
  np.testing.assert_allclose(
    gradient[output]['b'], (one_hot - softmax).ravel(), atol=1e-6
  )


@pytest.mark.parametrize('family', POLICY_FAMILIES)
def test_each_row_of_a_batch_has_its_own_distribution(family):
  policy, params = make_policy(policy_family=family)
  observations = np.stack([OBSERVATION, -OBSERVATION])
  actions = np.array([[0.4, 1.0], [-0.1, 0.0]], np.float32)
  together = policy.log_prob(params, observations, actions)
  apart = [policy.log_prob(params, observations[i : i + 1], actions[i : i + 1])[0]
           for i in range(2)]  # fmt: skip
  np.testing.assert_allclose(together, apart, rtol=1e-5)
  assert apart[0] != apart[1]
