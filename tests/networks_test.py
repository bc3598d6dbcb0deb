from types import SimpleNamespace

import jax
import numpy as np
import pytest
from dm_env import specs

from iq_acme.config import IQConfig
from iq_acme.networks import make_networks

CONFIG = IQConfig(hidden_layer_sizes=(7, 5), num_action_values=4)


def environment(observations):
  return SimpleNamespace(
    observations=observations,
    actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0),
  )


FLAT = environment(specs.Array((3,), np.float32))


def layers(params):
  """[(weights, bias)] from the input to the output."""
  return [(params[name]['w'], params[name]['b']) for name in sorted(params)]


def forward(params, inputs):
  """A ReLU network in numpy, linear at its end."""
  *hidden, (weights, bias) = layers(params)
  for hidden_weights, hidden_bias in hidden:
    inputs = np.maximum(inputs @ hidden_weights + hidden_bias, 0)
  return inputs @ weights + bias


@pytest.mark.parametrize(
  ('family', 'output'),
  # n * D logits; a mean and a scale for each dimension.
  [('multicategorical', 4 * 2), ('gaussian', 2 * 2)],
)
def test_networks_have_the_layers_asked_for(family, output):
  config = IQConfig(
    hidden_layer_sizes=(7, 5), num_action_values=4, policy_family=family
  )
  networks = make_networks(FLAT, config)
  for network, size in ((networks.policy, output), (networks.value, 1)):
    params = network.init(jax.random.PRNGKey(0))
    assert [w.shape for w, _ in layers(params)] == [(3, 7), (7, 5), (5, size)]
    assert [b.shape for _, b in layers(params)] == [(7,), (5,), (size,)]


def test_default_networks_are_of_sacs_size():
  params = make_networks(FLAT).value.init(jax.random.PRNGKey(0))
  assert [w.shape for w, _ in layers(params)] == [(3, 256), (256, 256), (256, 1)]


@pytest.mark.parametrize('output_scale', [1.0, 1e-4])
def test_weights_are_uniform_with_variance_scale_over_fan_in_and_biases_zero(
  output_scale,
):
  config = IQConfig(output_init_scale=output_scale)
  params = make_networks(FLAT, config).value.init(jax.random.PRNGKey(0))
  for (weights, bias), scale in zip(layers(params), (1, 1, output_scale)):
    # A uniform distribution on [-l, l] has variance l^2 / 3 = scale / fan_in.
    limit = np.sqrt(3 * scale / weights.shape[0])
    assert np.abs(weights).max() <= limit
    assert np.abs(weights).max() > 0.95 * limit
    np.testing.assert_allclose(
      weights.var(), scale / weights.shape[0], rtol=4 / np.sqrt(weights.size)
    )
    np.testing.assert_array_equal(bias, 0)


def test_value_is_a_relu_network_of_the_observation():
  value = make_networks(FLAT, CONFIG).value
  params = value.init(jax.random.PRNGKey(1))
  observation = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
  values = value.apply(params, observation)
  assert values.shape == (6,)
  np.testing.assert_allclose(values, forward(params, observation)[:, 0], rtol=1e-5)


@pytest.mark.parametrize('batch_size', [1, 4])
def test_nested_observation_is_concatenated_scalars_included(batch_size):
  nested = environment(
    {
      'b': specs.Array((2,), np.float32),
      'a': (specs.Array((), np.float32), specs.Array((0,), np.float32)),
    }
  )
  value = make_networks(nested, CONFIG).value
  params = value.init(jax.random.PRNGKey(1))
  rng = np.random.default_rng(0)
  scalar = rng.normal(size=batch_size).astype(np.float32)
  vector = rng.normal(size=(batch_size, 2)).astype(np.float32)
  observation = {'b': vector, 'a': (scalar, np.zeros((batch_size, 0), np.float32))}
  # Leaves in JAX's order: the keys of a dict sorted.
  inputs = np.concatenate([scalar[:, None], vector], axis=1)
  np.testing.assert_allclose(
    value.apply(params, observation), forward(params, inputs)[:, 0], rtol=1e-5
  )


def test_keys_decide_the_parameters():
  policy = make_networks(FLAT, CONFIG).policy
  first, again, other = (policy.init(jax.random.PRNGKey(seed)) for seed in (0, 0, 1))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  weights = [np.asarray(layers(params)[0][0]) for params in (first, other)]
  assert not np.any(weights[0] == weights[1])
