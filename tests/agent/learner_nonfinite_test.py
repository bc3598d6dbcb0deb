"""IQLearner where losses go wrong: nothing spoilt is saved, and the step is named."""

import jax
import numpy as np
import pytest
from tiny_environments import tiny_config
from tiny_learners import Rows, as_bytes, batches, make_learner, run

from iq_acme import update
from iq_acme.agent.learner import NonFiniteLossError


def spoil_metric(monkeypatch, name, at_step, value=np.nan):
  """Makes one metric of one SGD step bad, and leaves the state and the rest alone."""
  original = update.sgd_steps

  def spoiled(state, transitions, **kwargs):
    new_state, metrics = original(state, transitions, **kwargs)
    bad = new_state.steps == at_step
    metrics[name] = jax.numpy.where(bad, value, metrics[name])
    return new_state, metrics

  monkeypatch.setattr(update, 'sgd_steps', spoiled)


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
  learner.restore(state._replace(params=state.params._replace(value=spoiled)))
  learner.check_finite()
  with pytest.raises(NonFiniteLossError, match=r'params\.value.*after SGD step 2\.'):
    learner.save()
  learner.restore(state)
  assert as_bytes(learner.save()) == as_bytes(state)


class Interleaved(list):
  """A list of unread metrics, in whose every use another thread comes in between.

  It takes the place of the learner's own, for real threads meet there once in a million
  steps.
  """

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
