"""IQLearner: metrics, variables, save and restore, and losses that go wrong."""

import functools
import threading
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from tiny_environments import NumberedEnvironment, spec_of, tiny_config

from iq_acme import update
from iq_acme.learning import IQLearner, NonFiniteLossError
from iq_acme.networks import make_networks
from iq_acme.update import Transition

METRICS = {
  'loss',
  'td_error_mean',
  'td_error_abs_mean',
  'value_mean',
  'log_policy_mean',
  'log_policy_min',
  'munchausen_term_mean',
  'policy_entropy_per_dim',
  'gradient_norm',
}


class Sample(NamedTuple):
  """As `reverb.ReplaySample`."""

  info: Any
  data: tuple


class Rows:
  """A logger that keeps its rows."""

  def __init__(self):
    self.rows = []

  def write(self, row):
    self.rows.append(dict(row))

  def close(self):
    pass


def random_batch(seed, size=8, **replaced):
  rng = np.random.default_rng(seed)
  fields = {
    'observation': rng.normal(size=(size, 2)).astype(np.float32),
    'action': rng.choice([-1.0, 0.0, 3.0], (size, 1)).astype(np.float32),
    'reward': rng.normal(size=size).astype(np.float32),
    'discount': rng.integers(0, 2, size).astype(np.float32),
    'next_observation': rng.normal(size=(size, 2)).astype(np.float32),
  }
  return Transition(**(fields | replaced))


def batches(num, size=8, bad=None):
  """Random batches; the one with index `bad` has a reward of NaN."""
  for i in range(num):
    batch = random_batch(i, size)
    if i == bad:
      batch.reward[3] = np.nan
    # Reverb's transitions have a sixth field, `extras`.
    yield Sample(None, (*batch, ()))


def make_learner(config=None, data=None, seed=0, **kwargs):
  config = config or tiny_config()
  networks = make_networks(spec_of(NumberedEnvironment()), config)
  data = batches(10_000) if data is None else data
  return IQLearner(networks, config, jax.random.PRNGKey(seed), data, **kwargs)


def run(learner, num_steps):
  for _ in range(num_steps):
    learner.step()


def as_bytes(tree):
  return b''.join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))


def spoil_metric(monkeypatch, name, at_step, value=np.nan):
  """Makes one metric of one SGD step bad, and leaves the state and the rest alone."""
  original = update.sgd_steps

  def spoiled(state, transitions, **kwargs):
    new_state, metrics = original(state, transitions, **kwargs)
    bad = new_state.steps == at_step
    metrics[name] = jax.numpy.where(bad, value, metrics[name])
    return new_state, metrics

  monkeypatch.setattr(update, 'sgd_steps', spoiled)


def test_rows_have_all_metrics_from_the_first_and_average_their_steps():
  config, logger = tiny_config(log_period=3), Rows()
  learner = make_learner(config, logger=logger)
  run(learner, 7)

  networks = make_networks(spec_of(NumberedEnvironment()), config)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  sgd_step = jax.jit(
    functools.partial(update.sgd_step, networks=networks, config=config)
  )
  steps = []
  for i in range(6):
    state, metrics = sgd_step(state, random_batch(i))
    steps.append({name: float(value) for name, value in metrics.items()})

  expected_keys = METRICS | {'learner_steps', 'learner_walltime', 'actor_steps'}
  assert [set(row) for row in logger.rows] == [expected_keys] * 2
  assert [row['learner_steps'] for row in logger.rows] == [3, 6]
  for row, part in zip(logger.rows, (steps[:3], steps[3:])):
    for name in METRICS - {'log_policy_min'}:
      mean = sum(step[name] for step in part) / 3
      np.testing.assert_allclose(row[name], mean, rtol=1e-4, atol=1e-6)
    lowest = min(step['log_policy_min'] for step in part)
    np.testing.assert_allclose(row['log_policy_min'], lowest, rtol=1e-4)


def test_several_sgd_steps_a_step_are_counted_one_by_one():
  logger = Rows()
  config = tiny_config(num_sgd_steps_per_step=4, log_period=10)
  learner = make_learner(config, batches(10, size=32), logger=logger)
  run(learner, 5)
  assert int(learner.state.steps) == 20
  assert [row['learner_steps'] for row in logger.rows] == [12]


def test_variables_by_name_and_no_others():
  learner = make_learner()
  policy, value = learner.get_variables(['policy', 'value'])
  assert as_bytes(policy.params) == as_bytes(learner.state.params.policy)
  assert as_bytes(value) == as_bytes(learner.state.params.value)
  with pytest.raises(KeyError, match=r"critic.*'policy', 'value'"):
    learner.get_variables(['policy', 'critic'])


def test_exploration_ends_with_the_first_step_or_on_request():
  def exploring(learner):
    return bool(learner.get_variables(['policy'])[0].exploring)

  learner, other = make_learner(), make_learner(seed=1)
  assert exploring(learner)
  other.restore(learner.save())
  assert exploring(other)  # A state from before the first step changes nothing.
  run(learner, 1)
  assert not exploring(learner)
  other.restore(learner.save())
  assert not exploring(other)
  fresh = make_learner()
  fresh.end_exploration()
  assert not exploring(fresh)


def test_variables_fetched_by_another_thread_are_always_of_one_step():
  learner = make_learner(tiny_config(log_period=100_000))
  seen, errors, stop = set(), [], threading.Event()

  def fetch():
    try:
      while not stop.is_set():
        policy, value = learner.get_variables(['policy', 'value'])
        seen.add(as_bytes((policy.params, value)))
    except BaseException as error:
      errors.append(error)

  thread = threading.Thread(target=fetch, daemon=True)
  thread.start()
  states = [learner.state.params]
  while len(seen) < 5 and len(states) < 5000 and not errors:
    run(learner, 1)
    states.append(learner.state.params)
  stop.set()
  thread.join(60)
  assert not errors
  assert len(seen) >= 5
  assert seen <= {as_bytes((params.policy, params.value)) for params in states}


def test_save_and_restore_continue_bit_for_bit():
  config = tiny_config(normalize_observations=True)
  learner, other = make_learner(config), make_learner(config, batches(20), seed=1)
  run(learner, 5)
  saved = learner.save()
  before = as_bytes(saved)
  assert as_bytes(learner.state) == before
  assert int(saved.steps) == 5
  assert float(saved.normalizer.count) == 5 * 8

  other.restore(saved)
  assert as_bytes(other.state) == before
  other._iterator = iter(list(batches(20))[5:])
  run(learner, 5)
  run(other, 5)
  assert as_bytes(other.state) == as_bytes(learner.state) != before
  assert as_bytes(saved) == before


def test_a_saved_state_of_another_shape_is_refused_with_both_shapes():
  learner = make_learner()
  other = make_learner(tiny_config(hidden_layer_sizes=(16,)))
  before = as_bytes(learner.state)
  with pytest.raises(ValueError, match='does not fit') as error:
    learner.restore(other.save())
  assert '(2, 16)' in str(error.value)
  assert '(2, 8)' in str(error.value)
  assert as_bytes(learner.state) == before


def test_one_seed_and_the_same_batches_give_the_same_state_bit_for_bit():
  states = []
  for seed in (3, 3, 4):
    learner = make_learner(seed=seed)
    run(learner, 10)
    states.append(as_bytes(learner.save()))
  assert states[0] == states[1] != states[2]


@pytest.mark.parametrize('logger', [Rows(), None])
def test_a_bad_loss_stops_the_run_at_the_next_row(logger):
  learner = make_learner(tiny_config(log_period=5), batches(20, bad=6), logger=logger)
  run(learner, 9)
  with pytest.raises(NonFiniteLossError, match=r'nan.* at SGD step 7\.'):
    learner.step()
  if logger:
    assert [row['learner_steps'] for row in logger.rows] == [5]
  with pytest.raises(NonFiniteLossError):
    learner.save()


def test_a_bad_loss_forbids_saving_before_the_next_row():
  learner = make_learner(data=batches(20, bad=2))
  run(learner, 2)
  learner.save()
  run(learner, 3)
  for _ in range(2):
    with pytest.raises(NonFiniteLossError, match=r'at SGD step 3\.'):
      learner.save()
  with pytest.raises(NonFiniteLossError, match=r'at SGD step 3\.'):
    learner.check_finite()


def test_the_first_of_several_sgd_steps_is_named():
  config = tiny_config(num_sgd_steps_per_step=4)
  learner = make_learner(config, batches(20, size=32, bad=1))
  run(learner, 2)
  with pytest.raises(NonFiniteLossError, match=r'at SGD step 5\.'):
    learner.save()


@pytest.mark.parametrize('metric', ['loss', 'gradient_norm'])
def test_a_bad_number_that_later_recovers_is_still_noticed(metric, monkeypatch):
  spoil_metric(monkeypatch, metric, at_step=3, value=np.inf)
  learner = make_learner()
  run(learner, 2)
  learner.save()
  run(learner, 4)
  with pytest.raises(NonFiniteLossError, match=r'inf.*at SGD step 3\.'):
    learner.save()
  run(learner, 3)
  with pytest.raises(NonFiniteLossError, match=r'at SGD step 3\.'):
    learner.step()


def test_a_state_that_is_not_finite_is_not_saved_although_every_loss_was():
  learner = make_learner()
  run(learner, 2)
  state = learner.state
  spoiled = jax.tree.map(lambda x: x.at[..., 0].set(np.inf), state.params.value)
  learner._state = state._replace(params=state.params._replace(value=spoiled))
  learner.check_finite()
  with pytest.raises(NonFiniteLossError, match=r'params\.value.*after SGD step 2\.'):
    learner.save()
  learner._state = state
  assert as_bytes(learner.save()) == as_bytes(state)


class Interleaved(list):
  """A list of unread metrics, in whose every use another thread comes in between."""

  def __init__(self, *contents, between):
    super().__init__(*contents)
    self._between = between

  def append(self, item):
    self._between()
    super().append(item)
    self._between()

  def __iter__(self):
    self._between()
    return super().__iter__()

  def __len__(self):
    self._between()
    return super().__len__()


def test_another_thread_never_saves_a_state_whose_loss_was_bad(monkeypatch):
  spoil_metric(monkeypatch, 'loss', at_step=3)
  learner = make_learner(tiny_config(log_period=100_000))
  saved, refused = [], []

  def save():
    unread = learner._unread_metrics
    learner._unread_metrics = list(list.__iter__(unread))  # Not in between itself.
    try:
      saved.append(int(learner.save().steps))
    except NonFiniteLossError:
      refused.append(int(learner.state.steps))
    learner._unread_metrics = unread

  learner._unread_metrics = Interleaved(between=save)
  run(learner, 5)
  assert set(saved) == {0, 1, 2}
  # From the moment on that the bad step's metrics were there, its state not yet.
  assert set(refused) == {2, 3, 4, 5}


@pytest.mark.parametrize('bad', [None, 4])
def test_a_row_that_begins_while_another_thread_saves_hides_nothing(bad):
  logger = Rows()
  learner = make_learner(tiny_config(log_period=5), batches(50, bad=bad), logger=logger)
  run(learner, 4)
  errors, plain = [], list(learner._unread_metrics)

  def step():  # The fifth, which writes the row and empties the list.
    if int(learner.state.steps) == 5:
      return
    learner._unread_metrics = plain
    try:
      learner.step()
    except NonFiniteLossError as error:
      errors.append(error)

  learner._unread_metrics = Interleaved(plain, between=step)
  assert int(learner.save().steps) == 4
  if bad is None:
    assert [row['learner_steps'] for row in logger.rows] == [5]
    assert int(learner.save().steps) == 5
  else:
    assert len(errors) == 1
    with pytest.raises(NonFiniteLossError, match=r'at SGD step 5\.'):
      learner.save()


def test_the_step_that_is_named_does_not_depend_on_who_asks_when():
  learner = make_learner(tiny_config(log_period=100_000), batches(50, bad=2))
  run(learner, 3)
  unread = list(learner._unread_metrics)
  run(learner, 4)  # Between another thread's look at the metrics and at the state.
  learner._unread_metrics = unread
  with pytest.raises(NonFiniteLossError, match=r'at SGD step 3\.'):
    learner.check_finite()
