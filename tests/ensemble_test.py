"""One policy of several Q-networks' mean, and their smallest value under it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nine_actions import ACTIONS, OBSERVATIONS, SPEC

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks

TEMPERATURE, COEFFICIENT = 0.5, 0.7
CONFIG = IQConfig(
  num_q_networks=3,
  separate_value=False,
  scale_logits_by_temperature=True,
  temperature=TEMPERATURE,
  munchausen_coefficient=COEFFICIENT,
  num_action_values=3,
  hidden_layer_sizes=(16,),
  output_init_scale=1.0,
)
STATE = OBSERVATIONS[:1]


@pytest.fixture(scope='module')
def setup():
  networks = make_networks(SPEC, CONFIG)
  state = update.init_state(jax.random.PRNGKey(0), networks, CONFIG)
  key = jax.random.PRNGKey(1)
  return networks, state._replace(
    target_params=jax.tree.map(
      lambda x: x + 0.1 * jax.random.normal(key, x.shape), state.params
    )
  )


def q_values(networks, policy_params):
  """Q of all nine actions in one state by Eq. 1, one row for each network."""
  one, members = networks.member, networks.members(policy_params)
  return jnp.stack(
    [
      TEMPERATURE * one.policy.log_prob(params, OBSERVATIONS, ACTIONS)
      + one.state_value(params, {}, OBSERVATIONS)
      for params in members
    ]
  )


def policy_of(all_q):
  """The softmax of the mean Q, over all nine actions."""
  return jax.nn.softmax(all_q.mean(0) / TEMPERATURE)


def value_of(all_q):
  """The smallest of what the networks say that this policy is worth, in full."""
  probs = policy_of(all_q)
  entropy = -(probs * jnp.log(probs)).sum()
  return min(float((probs * q).sum() + TEMPERATURE * entropy) for q in all_q)


def test_the_policy_is_the_softmax_of_the_mean_q(setup):
  networks, state = setup
  params = state.params.policy
  expected = policy_of(q_values(networks, params))
  log_probs = networks.policy.log_prob(params, OBSERVATIONS, ACTIONS)
  np.testing.assert_allclose(jnp.exp(log_probs), expected, rtol=1e-5)
  mode = networks.policy.mode(params, STATE)[0]
  np.testing.assert_array_equal(mode, ACTIONS[int(expected.argmax())])


def test_the_value_is_the_smallest_under_that_policy(setup):
  networks, state = setup
  params = state.params.policy
  value = networks.state_value(params, {}, STATE)[0]
  all_q = q_values(networks, params)
  assert value == pytest.approx(value_of(all_q), abs=1e-5)
  # Each network's own soft value is above what the common policy is worth to it.
  own = TEMPERATURE * jax.nn.logsumexp(all_q / TEMPERATURE, axis=-1)
  assert value < own.min() - 1e-3


def test_networks_that_agree_are_one(setup):
  networks, state = setup
  one, (first, *_) = networks.member, networks.members(state.params.policy)
  np.testing.assert_allclose(
    networks.state_value((first,) * 3, {}, OBSERVATIONS),
    one.state_value(first, {}, OBSERVATIONS),
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    networks.policy.log_prob((first,) * 3, OBSERVATIONS, ACTIONS),
    one.policy.log_prob(first, OBSERVATIONS, ACTIONS),
    rtol=1e-5,
  )


def test_each_network_learns_by_equation_2(setup):
  networks, state = setup
  batch = update.Transition(
    observation=OBSERVATIONS,
    action=ACTIONS,
    reward=jnp.linspace(-1, 1, 9),
    discount=jnp.array([0.0, 1.0, 1.0] * 3),
    next_observation=OBSERVATIONS,
  )
  found, _ = update.batch_loss(
    state.params, state.target_params, batch, networks=networks, config=CONFIG
  )
  target_q = q_values(networks, state.target_params.policy)
  munchausen_term = COEFFICIENT * TEMPERATURE * jnp.log(policy_of(target_q))
  bootstrap = CONFIG.discount * batch.discount * value_of(target_q)
  errors = batch.reward + munchausen_term + bootstrap
  errors = errors - q_values(networks, state.params.policy)
  assert found == pytest.approx(float((errors**2).mean(1).sum()), rel=1e-5)


def test_networks_start_apart(setup):
  networks, state = setup
  members = networks.members(state.params.policy)
  weights = [np.asarray(params['output']['w']) for params in members]
  assert len(weights) == 3
  assert all(np.any(weights[0] != other) for other in weights[1:])


@pytest.mark.parametrize(
  ('fields', 'word'),
  [
    ({'separate_value': True}, '1 unless separate_value is False'),
    ({'num_pairs': 2}, '1 unless num_pairs is 1'),
    ({'target_entropy_per_dim': 0.5}, '1 unless target_entropy_per_dim is None'),
  ],
)
def test_what_several_networks_cannot_have_is_refused_by_both_names(fields, word):
  with pytest.raises(ValueError, match=f'num_q_networks is 3; .*{word}'):
    dataclasses.replace(CONFIG, **fields)
