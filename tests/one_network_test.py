"""V as the soft value of the policy's own outputs, in place of a network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nine_actions import ACTIONS, OBSERVATIONS, SPEC

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.policies import temperature

CONFIG = IQConfig(
  separate_value=False,
  scale_logits_by_temperature=True,
  temperature=0.5,
  num_action_values=3,
  hidden_layer_sizes=(16,),
  output_init_scale=1.0,
)


def start(config=CONFIG):
  networks = make_networks(SPEC, config)
  return networks, update.init_state(jax.random.PRNGKey(0), networks, config)


def q_values(networks, params, tau=0.5):
  """Q of all actions by Eq. 1, [9]."""
  log_probs = networks.policy.log_prob(params.policy, OBSERVATIONS, ACTIONS)
  return tau * log_probs + networks.state_value(
    params.policy, params.value, OBSERVATIONS
  )


def test_an_error_reaches_the_values_that_were_taken_and_no_others():
  networks, state = start()
  gradient = jax.jacobian(lambda params: q_values(networks, params))(state.params)
  found = np.reshape(gradient.policy['output']['b'], (9, 2, 3))
  np.testing.assert_allclose(found, np.eye(3)[ACTIONS.astype(int) + 1], atol=1e-6)


def test_the_value_holds_no_parameters_of_its_own():
  networks, state = start(dataclasses.replace(CONFIG, num_pairs=2))
  assert networks.value is None
  assert [pair.value for pair in state.params.pairs] == [{}, {}]


def test_a_temperature_that_adapts_leaves_q_as_it_was():
  networks, state = start(dataclasses.replace(CONFIG, target_entropy_per_dim=0.6))
  warmer = temperature.with_log_ratio(state.params.policy, jnp.log(4.0))
  entropies = [
    float(networks.policy.entropy(params, OBSERVATIONS, ACTIONS)[0])
    for params in (state.params.policy, warmer)
  ]
  assert entropies[1] > entropies[0] + 0.01
  np.testing.assert_allclose(
    q_values(networks, state.params._replace(policy=warmer), tau=4 * 0.5),
    q_values(networks, state.params),
    atol=1e-5,
  )


@pytest.mark.parametrize(
  ('fields', 'word'),
  [
    ({'policy_family': 'autoregressive'}, 'policy_family'),
    ({'policy_family': 'gaussian'}, 'policy_family'),
    ({'scale_logits_by_temperature': False}, 'scale_logits_by_temperature'),
    ({'policy_learning_rate': 1e-4}, 'policy_learning_rate 0.0001'),
    ({'policy_start': 10}, 'policy_start 10'),
    ({'center_policy_error': True}, 'center_policy_error True'),
  ],
)
def test_what_one_network_cannot_have_is_refused_by_both_names(fields, word):
  with pytest.raises(ValueError, match=f'separate_value is False; .*{word}'):
    dataclasses.replace(CONFIG, **fields)
  dataclasses.replace(CONFIG, separate_value=True, **fields)
