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

from iq_acme import losses, policies, update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks

OBSERVATION = np.array([0.3, -1.2, 2.0], np.float32)
MINIMUM, MAXIMUM = np.float32([-0.4, 0.0, 10.0]), np.float32([0.4, 2.0, 14.0])
INDICES = np.array(list(itertools.product(range(3), repeat=3)))
# Counts of 27 actions stray further than this in one of a thousand seeds.
MAX_CHI2 = scipy.stats.chi2.ppf(0.999, df=26)


def spec_of(num_dimensions):
  bounds = MINIMUM[:num_dimensions], MAXIMUM[:num_dimensions]
  return SimpleNamespace(
    observations=specs.Array((3,), np.float32),
    actions=specs.BoundedArray((num_dimensions,), np.float32, *bounds),
  )


def make(num_dimensions=3, **fields):
  fields = {'num_action_values': 3, 'hidden_layer_sizes': (8,), **fields}
  config = IQConfig(policy_family='autoregressive', output_init_scale=1.0, **fields)
  return policies.make_policy(spec_of(num_dimensions), config)


def jitted(policy):
  functions = {
    name: jax.jit(getattr(policy, name))
    for name in ('init', 'log_prob', 'sample', 'mode', 'entropy')
  }
  return dataclasses.replace(policy, **functions)


def random_params(policy, seed=0):
  """Parameters as after much training: no weight of the head is zero any more."""
  shapes = jax.eval_shape(policy.init, jax.random.PRNGKey(0))
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes
  )


def to_action(index):
  num = np.shape(index)[-1]
  return np.float32(MINIMUM[:num] + index * (MAXIMUM - MINIMUM)[:num] / 2)


def tiled(num):
  return np.tile(OBSERVATION, (num, 1))


def log_softmax_by_hand(params, index, scale=1.0):
  """log pi_j(.|s, a_<j) of each dimension j in numpy, float64, [D, n]."""
  params = jax.tree.map(np.float64, params)
  first, head, output = (params[x] for x in ('mlp/~/linear_0', 'head', 'output'))
  torso = np.maximum(OBSERVATION @ first['w'] + first['b'], 0)
  logits = (torso @ output['w'] + output['b']).reshape(len(index), -1)
  hidden = torso @ head['w'] + head['b']
  for j in range(len(index)):
    logits[j] += np.maximum(hidden, 0) @ params['~']['output_weights'][j]
    hidden = hidden + params['~']['value_weights'][j, index[j]]
  return scipy.special.log_softmax(scale * logits, axis=-1)


@pytest.fixture(scope='module')
def enumerated():
  """All 27 actions of 3 dimensions x 3 values, and their log-probabilities."""
  policy = jitted(make())
  params = random_params(policy)
  log_probs = policy.log_prob(params, tiled(27), to_action(INDICES))
  return SimpleNamespace(policy=policy, params=params, log_probs=np.float64(log_probs))


# --- Beside the multicategorical policy ---------------------------------------------


@pytest.mark.parametrize(('num_dimensions', 'scaled'), [(1, False), (3, True)])
def test_it_starts_as_the_multicategorical_policy_bit_for_bit(num_dimensions, scaled):
  fields = {'scale_logits_by_temperature': scaled, 'temperature': 0.3}
  config = IQConfig(output_init_scale=1.0, num_action_values=5, **fields)
  factorised = policies.make_policy(spec_of(num_dimensions), config)
  policy = make(
    num_dimensions, num_action_values=5, hidden_layer_sizes=(256, 256), **fields
  )
  key = jax.random.PRNGKey(7)  # Not jitted: fused sums may round otherwise.
  theirs, mine = factorised.init(key), policy.init(key)
  jax.tree.map(np.testing.assert_array_equal, theirs, {x: mine[x] for x in theirs})
  observations = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
  actions = factorised.sample(theirs, key, observations)
  assert len(np.unique(actions, axis=0)) > 4
  for name, arguments in (
    ('sample', (key, observations)),
    ('mode', (observations,)),
    ('log_prob', (observations, actions)),
    ('entropy', (observations, actions)),
  ):
    np.testing.assert_array_equal(
      getattr(policy, name)(mine, *arguments),
      getattr(factorised, name)(theirs, *arguments),
      err_msg=name,
    )


# --- Its probabilities --------------------------------------------------------------


def test_probabilities_of_all_actions_sum_to_one(enumerated):
  np.testing.assert_allclose(np.exp(enumerated.log_probs).sum(), 1, rtol=1e-6)


@pytest.mark.parametrize(('scaled', 'factor'), [(False, 1.0), (True, 1 / 0.5)])
def test_log_policy_is_the_sum_of_the_conditional_ones(enumerated, scaled, factor):
  policy = jitted(make(temperature=0.5, scale_logits_by_temperature=scaled))
  by_hand = [
    log_softmax_by_hand(enumerated.params, index, factor)[range(3), index].sum()
    for index in INDICES
  ]
  log_probs = policy.log_prob(enumerated.params, tiled(27), to_action(INDICES))
  np.testing.assert_allclose(log_probs, by_hand, rtol=1e-4)


@pytest.mark.parametrize('temperature', [1e-3, 0.1, 10.0])
def test_policy_is_the_softmax_of_its_implicit_q_value(enumerated, temperature):
  q_values = losses.implicit_q_value(enumerated.log_probs, 1.7, temperature)
  softmax = scipy.special.softmax(q_values / temperature)
  np.testing.assert_allclose(softmax, np.exp(enumerated.log_probs), rtol=1e-5)
  soft_value = losses.soft_value(jnp.float32(q_values), temperature)
  np.testing.assert_allclose(soft_value, 1.7, rtol=1e-5)


def test_sampled_actions_follow_the_probabilities(enumerated):
  num_samples = 20_000
  samples = enumerated.policy.sample(
    enumerated.params, jax.random.PRNGKey(3), tiled(num_samples)
  )
  counts = np.array([np.all(samples == a, axis=1).sum() for a in to_action(INDICES)])
  assert counts.sum() == num_samples  # Nothing off the grid.
  expected = num_samples * np.exp(enumerated.log_probs)
  assert ((counts - expected) ** 2 / expected).sum() < MAX_CHI2


def test_mode_is_decoded_greedily_which_need_not_be_the_most_likely():
  policy = jitted(make())
  most_likely = 0
  for seed in range(20):
    params = random_params(policy, seed)
    greedy = np.zeros(3, int)
    for j in range(3):
      greedy[j] = log_softmax_by_hand(params, greedy)[j].argmax()
    mode = policy.mode(params, tiled(1))[0]
    np.testing.assert_array_equal(mode, to_action(greedy))
    log_probs = policy.log_prob(params, tiled(27), to_action(INDICES))
    most_likely += np.array_equal(greedy, INDICES[np.argmax(log_probs)])
  assert 10 < most_likely < 20


def test_each_dimension_knows_those_before_it_and_no_others(enumerated):
  # The gradient of log pi_j for the output's bias is one-hot minus softmax.
  def gradient(action):
    def log_prob(params):
      return enumerated.policy.log_prob(params, tiled(1), action)[0]

    return jax.grad(log_prob)(enumerated.params)['output']['b'].reshape(3, 3)

  gradients = jax.jit(jax.vmap(gradient))(to_action(INDICES)[:, None])
  conditionals = (np.eye(3)[INDICES] - gradients).reshape(3, 3, 3, 3, 3)
  for j, i in itertools.product(range(3), range(3)):
    # Of the distribution of dimension j, as the value of dimension i changes.
    change = np.ptp(conditionals[..., j, :], axis=i).max()
    assert change > 0.1 if i < j else change < 1e-6, (j, i)


def test_gradient_reaches_every_weight_that_some_dimension_comes_after():
  policy = make()
  action = to_action(np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]]))

  def loss(params):
    return policy.log_prob(params, tiled(3), action).sum()

  gradient = jax.jit(jax.grad(loss))(random_params(policy))
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
  for name, leaf in gradient['~'].items():
    moved = np.any(leaf != 0, axis=(1, 2))
    np.testing.assert_array_equal(moved, [True, True, name == 'output_weights'])
  assert np.any(gradient['head']['w']) and np.any(gradient['mlp/~/linear_0']['w'])


def test_one_dimension_is_one_softmax():
  policy = jitted(make(1))
  params = random_params(policy)
  by_hand = log_softmax_by_hand(params, [0])[0]
  actions = to_action(np.arange(3)[:, None])
  np.testing.assert_allclose(
    policy.log_prob(params, tiled(3), actions), by_hand, rtol=1e-4, atol=1e-5
  )
  mode = policy.mode(params, tiled(1))
  np.testing.assert_array_equal(mode, actions[[by_hand.argmax()]])
  assert policy.sample(params, jax.random.PRNGKey(0), tiled(5)).shape == (5, 1)


# --- Its entropy --------------------------------------------------------------------


def test_entropy_is_conditional_on_the_action_and_named_so(enumerated):
  policy, params = enumerated.policy, enumerated.params
  entropy = np.float64(policy.entropy(params, tiled(27), to_action(INDICES)))
  by_hand = []
  for index in INDICES:
    log_softmaxes = log_softmax_by_hand(params, index)
    by_hand.append(-(np.exp(log_softmaxes) * log_softmaxes).sum())
  np.testing.assert_allclose(entropy, by_hand, rtol=1e-4)
  assert np.ptp(entropy) > 0.1
  assert policy.entropy_name == 'conditional_entropy'
  # Over actions of pi its mean is the entropy of pi, by the chain rule.
  np.testing.assert_allclose(
    np.exp(enumerated.log_probs) @ entropy,
    scipy.stats.entropy(np.exp(enumerated.log_probs)),
    rtol=1e-5,
  )


# --- In the update ------------------------------------------------------------------


def test_the_update_learns_a_dependence_that_the_multicategorical_policy_cannot():
  # Reward 1 if both dimensions take the same value; each alone says nothing.
  index = np.array(list(itertools.product(range(3), repeat=2)))
  batch = update.Transition(
    observation=tiled(9),
    action=to_action(index),
    reward=np.float32(index[:, 0] == index[:, 1]),
    discount=np.zeros(9, np.float32),
    next_observation=tiled(9),
  )
  found = {}
  for family in ('multicategorical', 'autoregressive'):
    config = IQConfig(
      policy_family=family,
      temperature=0.25,
      munchausen_coefficient=0.0,
      num_action_values=3,
      hidden_layer_sizes=(16,),
      learning_rate=0.01,
    )
    networks = make_networks(spec_of(2), config)
    step = jax.jit(
      lambda state, networks=networks, config=config: jax.lax.scan(
        lambda state, _: update.sgd_step(
          state, batch, networks=networks, config=config
        ),
        state,
        length=1000,
      )
    )
    state, metrics = step(update.init_state(jax.random.PRNGKey(0), networks, config))
    log_probs = jax.jit(networks.policy.log_prob)(
      state.params.policy, batch.observation, batch.action
    )
    found[family] = np.exp(log_probs).sum(where=index[:, 0] == index[:, 1])
    assert np.isfinite(metrics['loss']).all()
  # exp(1 / 0.25) against 1, three actions to six.
  expected = 3 * np.exp(4) / (3 * np.exp(4) + 6)
  np.testing.assert_allclose(found['autoregressive'], expected, atol=1e-3)
  np.testing.assert_allclose(found['multicategorical'], 1 / 3, atol=1e-2)
  assert 'conditional_entropy_per_dim' in metrics
