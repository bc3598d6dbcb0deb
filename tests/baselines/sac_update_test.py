"""SAC's update against Acme's learner: beside it if there is one, else by its numbers.

`PYTHONPATH=.:tests/helpers python tests/baselines/sac_update_test.py` records them anew.
"""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from repository import TESTS
from sac_steps import CONFIG, STEPS, B, batches, run, spec

from iq_acme.baselines.sac import networks as sac_networks
from iq_acme.baselines.sac import update

pytestmark = pytest.mark.core
needs_acme = pytest.mark.skipif(not importlib.util.find_spec('acme'), reason='no Acme')

LOSSES = ('critic_loss', 'actor_loss', 'alpha_loss', 'alpha')
# What Acme's learner says of `run`'s start: its losses at every step [STEPS, 4], and
# the squashed mean of its last policy on the last batch [B, D].
GOLDEN = TESTS / 'data' / 'sac_of_acme.npz'


def start(networks):
  """A state with a temperature that is not 1."""
  state = update.init_state(jax.random.PRNGKey(3), networks, CONFIG)
  return state._replace(alpha_params=jnp.float32(-0.5))


class Rows:
  def __init__(self):
    self.rows = []

  def write(self, row):
    self.rows.append(row)


def run_acme(state, transitions):
  """What `run` does, by Acme's own learner."""
  import reverb
  from acme import types
  from acme.agents.jax import sac
  from acme.agents.jax.sac import learning

  samples = [
    reverb.ReplaySample(info=None, data=types.Transition(*batch))
    for batch in transitions
  ]
  rows = Rows()
  learner = learning.SACLearner(
    sac.make_networks(spec(), tuple(CONFIG.hidden_layer_sizes)),
    jax.random.PRNGKey(99),
    iter(samples),
    optax.adam(CONFIG.learning_rate),
    optax.adam(CONFIG.learning_rate),
    tau=CONFIG.target_update_rate,
    discount=CONFIG.discount,
    target_entropy=sac.target_entropy_from_env_spec(spec()),
    logger=rows,
  )
  fields = learning.TrainingState._fields
  learner.restore(learning.TrainingState(**{f: getattr(state, f) for f in fields}))
  states = []
  for _ in samples:
    learner.step()
    states.append(learner.save())
  return states, jax.device_get(rows.rows)


def distance(state, acmes):
  """The largest norm of a difference between fields, as a fraction of Acme's norm."""
  norms = {}
  for name in acmes._fields:
    theirs = jax.device_get(getattr(acmes, name))
    difference = jax.tree.map(
      lambda a, b: np.float64(a) - np.float64(b),
      jax.device_get(getattr(state, name)),
      theirs,
    )
    norms[name] = float(optax.tree.norm(difference) / optax.tree.norm(theirs))
  return max(norms.values())


@needs_acme
def test_parameters_are_acmes_by_name_and_bit_for_bit():
  from acme.agents.jax import sac

  ours, acmes = (
    sac_networks.make_networks(spec(), CONFIG),
    sac.make_networks(spec(), (16, 16)),
  )
  key = jax.random.PRNGKey(0)
  for mine, theirs in (
    (ours.policy.init(key), acmes.policy_network.init(key)),
    (ours.init_critics(key), acmes.q_network.init(key)),
  ):
    assert jax.tree.structure(mine) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, mine, theirs)


@pytest.fixture(scope='module')
def both():
  """States and metrics of both from one start, as float32: ours, and Acme's."""
  networks = sac_networks.make_networks(spec(), CONFIG)
  state = start(networks)
  return run(state, batches(), networks), run_acme(state, batches())


@needs_acme
def test_first_step_is_acmes_to_the_last_bits(both):
  (mine, _), (theirs, _) = ((states[0], rows[0]) for states, rows in both)
  # Adam's first moment after one step from zero is 0.1 times the gradient.
  for name in ('policy', 'q', 'alpha'):
    gradient, acmes = (
      jax.device_get(getattr(state, f'{name}_optimizer_state')[0].mu)
      for state in (mine, theirs)
    )
    difference = optax.tree.norm(jax.tree.map(np.subtract, gradient, acmes))
    assert difference <= 1e-6 * optax.tree.norm(acmes)
  np.testing.assert_array_equal(mine.key, theirs.key)
  assert distance(mine, theirs) < 1e-6


@needs_acme
def test_many_steps_are_acmes(both):
  (states, rows), (acmes, acmes_rows) = both
  assert len(states) == STEPS
  # An action that rounding takes across the threshold, where the density jumps, is
  # worth 1e-5 of the state; a step without one, 1e-8.
  assert max(distance(a, b) for a, b in zip(states, acmes)) < 1e-4
  np.testing.assert_allclose(losses(rows), losses(acmes_rows), rtol=1e-3)


@needs_acme
def test_many_steps_in_float64_are_acmes():
  """Rounding aside, nothing is left."""
  networks = sac_networks.make_networks(spec(), CONFIG)
  state = jax.device_get(start(networks))
  with jax.experimental.enable_x64():
    state = jax.tree.map(
      lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, state
    )
    transitions = jax.tree.map(np.float64, batches())
    states, _ = run(state, transitions, networks)
    acmes, _ = run_acme(state, transitions)
  assert states[-1].policy_params['Normal/~/linear']['w'].dtype == np.float64
  assert len(states) == STEPS
  assert max(distance(a, b) for a, b in zip(states, acmes)) < 1e-13


def test_batches_have_samples_in_both_tails_and_between_them():
  networks = sac_networks.make_networks(spec(), CONFIG)
  state = start(networks)
  normal = networks.normal(state.policy_params, batches(1)[0].observation)
  for key in jax.random.split(state.key, 4)[1:]:
    sampled = np.asarray(sac_networks.sample(normal, key))
    assert np.any(sampled > 0.999) and np.any(sampled < -0.999)
    assert np.sum(np.abs(sampled) < 0.999) > B


def test_golden_numbers_of_acmes_learner_come_out_without_acme():
  networks = sac_networks.make_networks(spec(), CONFIG)
  states, rows = run(start(networks), batches(), networks)
  golden = np.load(GOLDEN)
  np.testing.assert_allclose(losses(rows), golden['losses'], rtol=1e-3)
  mode = networks.policy.mode(states[-1].policy_params, batches()[-1].observation)
  np.testing.assert_allclose(mode, golden['mode'], atol=1e-4)
  # Learning has moved them by far more than that.
  before = networks.policy.mode(
    start(networks).policy_params, batches()[-1].observation
  )
  assert np.abs(before - golden['mode']).max() > 0.02


@needs_acme
def test_golden_numbers_are_acmes(both):
  _, (acmes, acmes_rows) = both
  for name, values in golden_numbers(acmes[-1], acmes_rows).items():
    np.testing.assert_allclose(np.load(GOLDEN)[name], values, rtol=1e-3, atol=1e-4)


def losses(rows):
  return np.array([[row[name] for name in LOSSES] for row in rows])


def golden_numbers(acmes, rows):
  networks = sac_networks.make_networks(spec(), CONFIG)
  mode = networks.policy.mode(acmes.policy_params, batches()[-1].observation)
  return {'losses': losses(rows), 'mode': np.asarray(mode)}


if __name__ == '__main__':
  initial = start(sac_networks.make_networks(spec(), CONFIG))
  last, all_rows = run_acme(initial, batches())
  np.savez_compressed(GOLDEN, **golden_numbers(last[-1], all_rows))
