from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from dm_env import specs

from iq_acme import policies
from iq_acme.config import IQConfig

# The output starts at a scale where means and deviations differ.
CONFIG = IQConfig(
  policy_family='gaussian', hidden_layer_sizes=(8,), output_init_scale=1.0
)
OBSERVATION = np.array([0.3, -1.2, 2.0], np.float32)


def make_policy(minimum, maximum):
  spec = SimpleNamespace(
    observations=specs.Array((3,), np.float32),
    actions=specs.BoundedArray((len(minimum),), np.float32, minimum, maximum),
  )
  policy = policies.make_policy(spec, CONFIG)
  return policy, policy.init(jax.random.PRNGKey(0))


def normal_by_hand(params):
  """Mean and standard deviation before squashing, from the network in numpy."""
  (w0, b0), (w1, b1) = (
    (np.float64(params[name]['w']), np.float64(params[name]['b']))
    for name in sorted(params)
  )
  mean, scale = np.split(np.maximum(OBSERVATION @ w0 + b0, 0) @ w1 + b1, 2)
  return mean, np.log1p(np.exp(scale)) + 1e-3


def with_output_bias(params, bias):
  """The parameters with zero output weights, so that the output is the bias."""
  output = sorted(params)[-1]
  layer = {'w': jnp.zeros_like(params[output]['w']), 'b': jnp.float32(bias)}
  return {**params, output: layer}


def tiled(num):
  return np.tile(OBSERVATION, (num, 1))


def test_density_on_the_canonical_interval_integrates_to_one():
  policy, params = make_policy([-1.0], [1.0])
  grid = np.linspace(-0.99999, 0.99999, 20_001)
  log_density = jax.jit(policy.log_prob)(
    params, tiled(20_001), np.float32(grid[:, None])
  )
  density = np.exp(np.float64(log_density))
  np.testing.assert_allclose(scipy.integrate.trapezoid(density, grid), 1, atol=1e-3)


def test_density_is_the_normals_over_the_slope_of_tanh():
  policy, params = make_policy([-1.0, -1.0], [1.0, 1.0])
  mean, std = normal_by_hand(params)
  action = np.array([[0.0, 0.0], [0.5, -0.9], [-0.99, 0.3]])
  # p(a) = N(atanh a; mean, std) / (1 - a^2), and dimensions are independent.
  by_hand = (
    scipy.stats.norm.logpdf(np.arctanh(action), mean, std) - np.log(1 - action**2)
  ).sum(-1)
  log_density = policy.log_prob(params, tiled(3), np.float32(action))
  np.testing.assert_allclose(log_density, by_hand, rtol=1e-4)


@pytest.mark.parametrize(
  ('minimum', 'maximum'), [([-0.4, -0.4], [0.4, 0.4]), ([0.0, -1.0], [2.0, 3.0])]
)
def test_other_bounds_keep_the_canonical_density_and_scale_the_actions(
  minimum, maximum
):
  canonical, params = make_policy([-1.0, -1.0], [1.0, 1.0])
  policy, _ = make_policy(minimum, maximum)

  def in_units(action):
    return np.float32(minimum + (action + 1) / 2 * np.subtract(maximum, minimum))

  action = np.array([[0.0, 0.5], [-0.9, 0.99]])
  np.testing.assert_allclose(
    policy.log_prob(params, tiled(2), in_units(action)),
    canonical.log_prob(params, tiled(2), np.float32(action)),
    rtol=1e-4,
  )
  key = jax.random.PRNGKey(1)
  np.testing.assert_allclose(
    policy.sample(params, key, tiled(5)),
    in_units(np.float64(canonical.sample(params, key, tiled(5)))),
    atol=1e-6,
  )


def test_mode_is_the_squashed_mean():
  policy, params = make_policy([-1.0, 0.0], [1.0, 4.0])
  mean, _ = normal_by_hand(params)
  # The canonical mode is tanh(mean); the second dimension is 2 tanh(mean) + 2.
  by_hand = np.tanh(mean) * [1, 2] + [0, 2]
  np.testing.assert_allclose(policy.mode(params, tiled(1))[0], by_hand, rtol=1e-5)


def test_entropy_is_the_base_normals_and_says_so():
  policy, params = make_policy([-1.0, 0.0], [1.0, 4.0])
  _, std = normal_by_hand(params)
  by_hand = np.sum(0.5 * np.log(2 * np.pi * np.e * std**2))
  np.testing.assert_allclose(
    policy.entropy(params, tiled(1), None), [by_hand], rtol=1e-5
  )
  assert policy.entropy_name == 'base_normal_entropy'


def test_sampled_actions_follow_the_squashed_normal():
  policy, params = make_policy([-1.0, 0.0], [1.0, 4.0])
  mean, std = normal_by_hand(params)
  samples = np.float64(policy.sample(params, jax.random.PRNGKey(2), tiled(5_000)))
  for i, canonical in enumerate((samples[:, 0], samples[:, 1] / 2 - 1)):
    statistic = scipy.stats.kstest(
      np.arctanh(canonical), scipy.stats.norm(mean[i], std[i]).cdf
    )
    assert statistic.pvalue > 1e-3
  assert abs(np.corrcoef(samples.T)[0, 1]) < 0.05


@pytest.mark.parametrize('action', [-0.4, 0.4, -0.41, 0.41, 100.0])
def test_log_density_and_gradient_are_finite_at_and_beyond_the_bounds(action):
  policy, params = make_policy([-0.4], [0.4])
  action = jnp.float32([[action]])
  log_density, gradient = jax.value_and_grad(
    lambda params: policy.log_prob(params, tiled(1), action)[0]
  )(params)
  assert np.isfinite(log_density)
  assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
  assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize('action', [-0.41, 100.0])
def test_action_beyond_a_bound_counts_as_the_bound(action):
  policy, params = make_policy([-0.4], [0.4])
  log_density = policy.log_prob(
    params, tiled(2), jnp.float32([[action], [np.sign(action) * 0.4]])
  )
  assert log_density[0] == log_density[1]


@pytest.mark.parametrize('bound', [(-1.4, 0.8), (-3.0, 1.9), (-1.0, 1.0), (0.0, 0.3)])
@pytest.mark.parametrize('end', [0, 1])
def test_saturated_actions_do_not_pass_the_bounds(bound, end):
  # In float32, minimum + (maximum - minimum) can be above maximum.
  policy, params = make_policy(bound[:1], bound[1:])
  params = with_output_bias(params, [(-50.0, 50.0)[end], -5.0])
  for action in (
    policy.mode(params, tiled(1)),
    policy.sample(params, jax.random.PRNGKey(0), tiled(1)),
  ):
    assert action[0, 0] == np.float32(bound[end])


def test_a_vanishing_scale_keeps_a_floor():
  policy, params = make_policy([-1.0], [1.0])
  params = with_output_bias(params, [0.0, -100.0])
  log_density = policy.log_prob(params, tiled(1), jnp.zeros((1, 1)))
  # N(0; 0, 1e-3), and tanh has slope 1 at 0.
  np.testing.assert_allclose(
    log_density, [scipy.stats.norm.logpdf(0, 0, 1e-3)], rtol=1e-4
  )


def test_uniform_actions_fill_the_bounds():
  policy, _ = make_policy([-1.0, 0.0], [1.0, 4.0])
  samples = np.float64(policy.sample_uniform(jax.random.PRNGKey(5), 5_000))
  for i, (low, width) in enumerate(((-1.0, 2.0), (0.0, 4.0))):
    test = scipy.stats.kstest(samples[:, i], scipy.stats.uniform(low, width).cdf)
    assert test.pvalue > 1e-3
