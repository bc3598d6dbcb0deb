"""For one discrete action IQ is Munchausen DQN with an explicit policy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks

NUM_ACTIONS, NUM_TRANSITIONS, TEMPERATURE, COEFFICIENT, DISCOUNT = 5, 32, 0.3, 0.9, 0.97


@pytest.fixture(
  scope='module', params=[True, False], ids=['two_networks', 'one_network']
)
def setup(request):
  config = IQConfig(
    hidden_layer_sizes=(16,),
    temperature=TEMPERATURE,
    munchausen_coefficient=COEFFICIENT,
    discount=DISCOUNT,
    batch_size=NUM_TRANSITIONS,
    min_replay_size=NUM_TRANSITIONS,
    separate_value=request.param,
    scale_logits_by_temperature=not request.param,
  )
  spec = SimpleNamespace(
    observations=specs.Array((3,), np.float32),
    actions=specs.DiscreteArray(NUM_ACTIONS),
  )
  networks = make_networks(spec, config)
  rng = np.random.default_rng(0)

  def draw(shape):
    return rng.normal(0, 0.5, shape).astype(np.float32)

  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  state = state._replace(
    params=jax.tree.map(lambda x: draw(x.shape), state.params),
    target_params=jax.tree.map(lambda x: draw(x.shape), state.target_params),
  )
  batch = update.Transition(
    observation=draw((NUM_TRANSITIONS, 3)),
    action=rng.integers(NUM_ACTIONS, size=NUM_TRANSITIONS).astype(np.int32),
    reward=draw(NUM_TRANSITIONS),
    discount=(rng.random(NUM_TRANSITIONS) < 0.8).astype(np.float32),
    next_observation=draw((NUM_TRANSITIONS, 3)),
  )
  return SimpleNamespace(networks=networks, config=config, state=state, batch=batch)


def q_values(networks, params, observations):
  """Q of every action by Eq. 1, [B, NUM_ACTIONS]."""
  log_probs = [
    networks.policy.log_prob(
      params.policy, observations, np.full(len(observations), action, np.int32)
    )
    for action in range(NUM_ACTIONS)
  ]
  value = networks.state_value(params.policy, params.value, observations)
  return TEMPERATURE * jnp.stack(log_probs, axis=1) + value[:, None]


def munchausen_dqn_loss(networks, params, target_params, batch):
  """The mean squared error of https://arxiv.org/abs/2007.14430, Eq. 2, unclipped.

  Of Q-functions alone: policies are the softmax of the target's.
  """
  at, rows = jax.nn.softmax, np.arange(NUM_TRANSITIONS)
  q_target = q_values(networks, target_params, batch.observation)
  log_policy = jnp.log(at(q_target / TEMPERATURE))[rows, batch.action]
  q_next = q_values(networks, target_params, batch.next_observation)
  policy_next = at(q_next / TEMPERATURE)
  soft_next = policy_next * (q_next - TEMPERATURE * jnp.log(policy_next))
  target = (
    batch.reward
    + COEFFICIENT * TEMPERATURE * log_policy
    + DISCOUNT * batch.discount * soft_next.sum(axis=1)
  )
  q = q_values(networks, params, batch.observation)[rows, batch.action]
  return jnp.mean((jax.lax.stop_gradient(target) - q) ** 2)


def test_loss_and_gradient_are_those_of_munchausen_dqn(setup):
  networks, state, batch = setup.networks, setup.state, setup.batch

  def iq_loss(params):
    return update.batch_loss(
      params, state.target_params, batch, networks=networks, config=setup.config
    )[0]

  def dqn_loss(params):
    return munchausen_dqn_loss(networks, params, state.target_params, batch)

  found, gradient = jax.jit(jax.value_and_grad(iq_loss))(state.params)
  expected, closed_form = jax.jit(jax.value_and_grad(dqn_loss))(state.params)
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(closed_form)):
    assert np.abs(theirs).max() > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_value_is_the_soft_value_of_the_implicit_q_function(setup):
  networks, params = setup.networks, setup.state.params
  q = np.float64(q_values(networks, params, setup.batch.observation))
  largest = q.max(axis=1)
  differences = np.exp((q - largest[:, None]) / TEMPERATURE)
  soft_value = largest + TEMPERATURE * np.log(differences.sum(axis=1))
  value = networks.state_value(params.policy, params.value, setup.batch.observation)
  np.testing.assert_allclose(value, soft_value, rtol=1e-5, atol=1e-5)


def test_the_step_gives_the_entropy_of_the_one_dimension(setup):
  state, metrics = update.sgd_step(
    setup.state, setup.batch, networks=setup.networks, config=setup.config
  )
  assert int(state.steps) == 1
  policy, batch = setup.networks.policy, setup.batch
  entropy = policy.entropy(setup.state.params.policy, batch.observation, batch.action)
  np.testing.assert_allclose(
    metrics['policy_entropy_per_dim'], np.mean(entropy), rtol=1e-6
  )
