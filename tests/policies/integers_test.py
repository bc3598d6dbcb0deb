"""Actions that are integers: exact softmaxes over the values that exist, and no others."""

import dataclasses
import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from dm_env import specs

from iq_acme import losses, policies
from iq_acme.config import IQConfig

OBSERVATION = np.array([0.3, -1.2, 2.0], np.float32)
FAMILIES = ('multicategorical', 'autoregressive')
# Each spec beside its values by dimension.
SPECS = {
  'discrete': (specs.DiscreteArray(4), [range(4)]),
  'with a start': (specs.BoundedArray((), np.int64, 7, 9), [range(7, 10)]),
  'unequal': (
    specs.BoundedArray((3,), np.int32, [0, -2, 5], [1, 3, 5]),
    [range(2), range(-2, 4), [5]],
  ),
  'binary': (specs.BoundedArray((2, 2), np.int8, 0, 1), [range(2)] * 4),
}


def make(kind, family, seed=0, **fields):
  """A policy with parameters as after much training, and all the actions there are."""
  spec, values = SPECS[kind]
  config = IQConfig(policy_family=family, hidden_layer_sizes=(8,), **fields)
  policy = policies.make_policy(
    SimpleNamespace(observations=specs.Array((3,), np.float32), actions=spec), config
  )
  policy = dataclasses.replace(
    policy,
    **{
      name: jax.jit(getattr(policy, name), static_argnums=(1,) if 'uni' in name else ())
      for name in ('log_prob', 'sample', 'mode', 'entropy', 'sample_uniform')
    },
  )
  rng = np.random.default_rng(seed)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.6, leaf.shape).astype(np.float32),
    jax.eval_shape(policy.init, jax.random.PRNGKey(0)),
  )
  actions = np.array(list(itertools.product(*values)), np.int32)
  return policy, params, actions.reshape(-1, *spec.shape)


def tiled(num):
  return np.tile(OBSERVATION, (num, 1))


def check_frequencies(samples, actions, probabilities):
  assert samples.dtype == np.int32 and samples.shape[1:] == actions.shape[1:]
  samples = np.asarray(samples).reshape(len(samples), -1)
  counts = np.array([np.all(samples == a.ravel(), axis=1).sum() for a in actions])
  assert counts.sum() == len(samples)  # None that does not exist.
  expected = len(samples) * probabilities
  # Stray further in one of a thousand seeds.
  limit = scipy.stats.chi2.ppf(0.999, df=max(len(actions) - 1, 1))
  assert ((counts - expected) ** 2 / expected).sum() < limit


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('kind', SPECS)
def test_policy_is_exact_over_the_values_that_exist(kind, family):
  policy, params, actions = make(kind, family)
  num = len(actions)
  log_probs = np.float64(policy.log_prob(params, tiled(num), actions))
  probabilities = np.exp(log_probs)
  np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-6)
  assert np.ptp(log_probs) > 0.1  # Not the uniform policy.
  # Eq. 1: pi is the softmax of Q, and V its soft value.
  for temperature in (1e-3, 0.1, 10.0):
    q_values = losses.implicit_q_value(log_probs, 1.7, temperature)
    softmax = scipy.special.softmax(q_values / temperature)
    np.testing.assert_allclose(softmax, probabilities, rtol=1e-5, atol=1e-6)
    soft_value = losses.soft_value(jnp.float32(q_values), temperature)
    np.testing.assert_allclose(soft_value, 1.7, rtol=1e-5)
  # Over actions of pi the mean of the conditional entropies is the entropy, too.
  entropy = np.float64(policy.entropy(params, tiled(num), actions))
  by_hand = scipy.stats.entropy(probabilities)
  np.testing.assert_allclose(probabilities @ entropy, by_hand, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('kind', SPECS)
def test_no_action_is_taken_that_does_not_exist(kind, family):
  policy, params, actions = make(kind, family)
  num, key = 20_000, jax.random.PRNGKey(3)
  probabilities = np.exp(policy.log_prob(params, tiled(len(actions)), actions))
  check_frequencies(policy.sample(params, key, tiled(num)), actions, probabilities)
  uniform = np.full(len(actions), 1 / len(actions))
  check_frequencies(policy.sample_uniform(key, num), actions, uniform)
  mode = policy.mode(params, tiled(1))
  assert mode.dtype == np.int32
  assert mode[0].tolist() in actions.tolist()
  if family == 'multicategorical' or actions.ndim == 1:
    np.testing.assert_array_equal(mode[0], actions[np.argmax(probabilities)])


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('fields', [{}, {'scale_logits_by_temperature': True}])
def test_gradients_are_finite_and_none_goes_through_what_does_not_exist(family, fields):
  policy, params, actions = make('unequal', family, **fields)

  def objective(params):
    arguments = params, tiled(len(actions)), actions
    return policy.log_prob(*arguments).sum() + policy.entropy(*arguments).sum()

  gradient = jax.grad(objective)(params)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
  output = sorted(x for x in gradient if 'output' in x)[-1]
  moved = np.reshape(np.abs(gradient[output]['b']) > 1e-4, (3, 6))
  # The third dimension has one value alone, whose probability is 1 whatever its logit.
  exists = np.arange(6) < np.array([[2], [6], [0]])
  np.testing.assert_array_equal(moved, exists)
  if family == 'autoregressive':
    weights = np.abs(gradient['~']['output_weights']).max(axis=1) > 1e-4
    np.testing.assert_array_equal(weights, exists)


@pytest.mark.parametrize('family', FAMILIES)
def test_an_action_beyond_the_bounds_is_the_end_point_it_is_beyond(family):
  policy, params, _ = make('unequal', family)
  foreign = np.array([[-4, 99, 0], [2**31 - 1, -(2**31), 7]], np.int32)
  nearest = np.array([[0, 3, 5], [1, -2, 5]], np.int32)
  np.testing.assert_array_equal(
    policy.log_prob(params, tiled(2), foreign),
    policy.log_prob(params, tiled(2), nearest),
  )


@pytest.mark.parametrize('family', FAMILIES)
def test_number_of_values_of_the_configuration_has_no_meaning(family):
  policy, params, actions = make('unequal', family, num_action_values=3)
  other, _, _ = make('unequal', family, num_action_values=11)
  arguments = params, tiled(len(actions)), actions
  np.testing.assert_array_equal(policy.log_prob(*arguments), other.log_prob(*arguments))
