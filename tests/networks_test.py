import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from dm_env import specs

from iq_acme.config import IQConfig
from iq_acme.networks import check_made_from, make_networks

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


@pytest.mark.parametrize(
  ('made_from', 'used_with', 'words'),
  [
    ({}, {'hidden_layer_sizes': (7,)}, ('hidden_layer_sizes', '(7, 5)', '(7,)')),
    ({}, {'policy_family': 'gaussian'}, ("'multicategorical'", "'gaussian'")),
    ({}, {'num_action_values': 11}, ('num_action_values', ' 4 ', ' 11')),
    (
      {'policy_family': 'autoregressive'},
      {'policy_family': 'autoregressive', 'num_action_values': 11},
      ('num_action_values', ' 4 ', ' 11'),
    ),
    ({}, {'output_init_scale': 1.0}, ('output_init_scale', '0.0001', '1.0')),
    (
      {'scale_logits_by_temperature': True, 'separate_value': False},
      {'scale_logits_by_temperature': True},
      ('separate_value', 'False', 'True'),
    ),
    (
      {
        'scale_logits_by_temperature': True,
        'separate_value': False,
        'num_q_networks': 2,
      },
      {'scale_logits_by_temperature': True, 'separate_value': False},
      ('num_q_networks', '2', '1'),
    ),
    (
      {'scale_logits_by_temperature': True},
      {'scale_logits_by_temperature': False},
      ('scale_logits_by_temperature', 'True', 'False'),
    ),
    (
      {'scale_logits_by_temperature': True},
      {'scale_logits_by_temperature': True, 'temperature': 0.5},
      ('temperature', '0.01', '0.5'),
    ),
  ],
)
def test_networks_made_from_another_configuration_are_refused_by_field(
  made_from, used_with, words
):
  networks = make_networks(FLAT, dataclasses.replace(CONFIG, **made_from))
  with pytest.raises(ValueError) as error:
    check_made_from(networks, dataclasses.replace(CONFIG, **used_with))
  assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
  ('made_from', 'used_with'),
  [
    ({}, {'temperature': 0.5, 'learning_rate': 1e-3, 'normalize_observations': True}),
    (
      {'policy_family': 'gaussian'},
      {'policy_family': 'gaussian', 'num_action_values': 11},
    ),
  ],
)
def test_fields_that_no_network_depends_on_may_differ(made_from, used_with):
  networks = make_networks(FLAT, dataclasses.replace(CONFIG, **made_from))
  check_made_from(networks, dataclasses.replace(CONFIG, **used_with))


def test_networks_of_ones_own_fit_every_configuration():
  networks = dataclasses.replace(make_networks(FLAT, CONFIG), config=None)
  check_made_from(networks, IQConfig())


def test_a_first_scale_may_differ_once_the_parameters_are_there():
  networks = make_networks(FLAT, CONFIG)
  rescaled = dataclasses.replace(CONFIG, output_init_scale=1.0)
  check_made_from(networks, rescaled, initialised=True)
  wider = dataclasses.replace(rescaled, hidden_layer_sizes=(7,))
  with pytest.raises(ValueError, match='hidden_layer_sizes'):
    check_made_from(networks, wider, initialised=True)
