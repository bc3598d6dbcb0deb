import dataclasses
import fractions
import json
import math

import pytest

from iq_acme.schedule import Progress, UpdateSchedule, resume


def due(schedule, steps):
  return [schedule.sgd_steps_due(step) for step in steps]


def test_nothing_is_due_during_exploration_and_one_per_step_after_it():
  schedule = UpdateSchedule(256.0, 256, start_actor_steps=10)
  assert due(schedule, [0, 1, 9, 10, 11, 12, 1_000]) == [0, 0, 0, 0, 1, 2, 990]


@pytest.mark.parametrize(
  ('samples_per_step', 'batch_size', 'expected'),
  [
    (512.0, 256, [0, 2, 4, 6, 8, 10]),  # Two SGD steps an environment step.
    (128.0, 256, [0, 0, 1, 1, 2, 2]),  # One every second environment step.
    (384.0, 256, [0, 1, 3, 4, 6, 7]),  # 1.5 an environment step.
    (0.5, 1, [0, 0, 1, 1, 2, 2]),
    (8, 32, [0, 0, 0, 0, 1, 1]),  # The ratio may be an integer.
  ],
)
def test_fractional_ratios_are_counted_down(samples_per_step, batch_size, expected):
  schedule = UpdateSchedule(samples_per_step, batch_size, start_actor_steps=0)
  assert due(schedule, range(6)) == expected


@pytest.mark.parametrize(
  'ratio', ['0.29', '0.1', '0.7', '1.1', '3.3', '1e-05', '256.0']
)
@pytest.mark.parametrize('batch_size', [1, 7, 256])
def test_counts_are_exact_for_decimal_ratios(ratio, batch_size):
  # In floats 100 * 0.29 is below 29.
  schedule = UpdateSchedule(float(ratio), batch_size, start_actor_steps=0)
  for steps in (*range(300), 1_000_000, 123_456_789, 10**12):
    exact = math.floor(fractions.Fraction(ratio) * steps / batch_size)
    assert schedule.sgd_steps_due(steps) == exact


def test_due_steps_are_integers_that_never_go_back():
  counts = due(UpdateSchedule(0.3, 1, start_actor_steps=5), range(200))
  assert all(type(count) is int for count in counts)
  assert counts == sorted(counts)


def test_resume_with_the_replay_goes_on_as_if_nothing_happened():
  # The schedule depends on the environment steps alone, so a resumed run that
  # builds it again owes what the unbroken one does.
  unbroken = due(UpdateSchedule(96.0, 64, 100), range(1_000))
  resumed = due(UpdateSchedule(96.0, 64, 100), range(500, 1_000))
  assert unbroken[500:] == resumed


def test_refill_owes_nothing_until_filled_and_makes_nothing_up():
  schedule = UpdateSchedule(256.0, 256, start_actor_steps=100)
  assert schedule.sgd_steps_due(400) == 300
  # Resumed after 400 environment steps without the 100 transitions it needs; 298 SGD
  # steps were taken by then.
  refilled = schedule.after_refill(actor_steps=400, sgd_steps=298, missing=100)
  assert due(refilled, [400, 450, 500, 501, 510]) == [298, 298, 298, 299, 308]


def test_refill_keeps_the_ratio():
  schedule = UpdateSchedule(128.0, 256, start_actor_steps=0)
  refilled = schedule.after_refill(actor_steps=10, sgd_steps=5, missing=0)
  assert due(refilled, [10, 11, 12, 14]) == [5, 5, 6, 7]


def test_second_refill_counts_from_the_second_resume():
  schedule = UpdateSchedule(1.0, 1, start_actor_steps=10)
  twice = schedule.after_refill(20, 10, 10).after_refill(40, 20, 10)
  assert due(twice, [40, 50, 51]) == [20, 20, 21]


def test_other_settings_change_what_comes_and_not_what_was():
  schedule = UpdateSchedule(96.0, 64, start_actor_steps=100)  # 1.5 a step.
  planned = UpdateSchedule(32.0, 64, start_actor_steps=100)  # Every second step.
  # 150 were due at 200. The new ratio alone would have made it 50.
  continued = schedule.continued_as(planned, actor_steps=200)
  assert due(continued, range(200, 206)) == [150, 150, 151, 151, 152, 152]
  back = continued.continued_as(schedule, actor_steps=206)
  assert due(back, [206, 208, 210]) == [153, 156, 159]


@pytest.mark.parametrize('actor_steps', [0, 99, 100, 101, 777])
@pytest.mark.parametrize('start_sgd_steps', [0, 30])
def test_the_same_settings_change_nothing_not_even_fractions(
  actor_steps, start_sgd_steps
):
  planned = UpdateSchedule(0.3, 7, start_actor_steps=100)
  schedule = dataclasses.replace(planned, start_sgd_steps=start_sgd_steps)
  assert schedule.continued_as(planned, actor_steps) == schedule


@pytest.mark.parametrize(
  ('new_start', 'begins'), [(150, 150), (100, 100), (80, 80), (30, 60)]
)
def test_before_the_first_sgd_step_the_new_warm_up_counts(new_start, begins):
  schedule = UpdateSchedule(1.0, 1, start_actor_steps=100)
  planned = UpdateSchedule(1.0, 1, start_actor_steps=new_start)
  continued = schedule.continued_as(planned, actor_steps=60)
  assert due(continued, [60, begins, begins + 5]) == [0, 0, 5]


def test_once_learning_has_begun_another_warm_up_changes_nothing():
  schedule = UpdateSchedule(1.0, 1, start_actor_steps=100)
  planned = UpdateSchedule(2.0, 1, start_actor_steps=1_000)
  continued = schedule.continued_as(planned, actor_steps=150)
  assert due(continued, [150, 151, 152]) == [50, 52, 54]


def test_a_refill_under_way_is_finished_under_other_settings():
  schedule = UpdateSchedule(1.0, 1, start_actor_steps=10).after_refill(400, 390, 100)
  planned = UpdateSchedule(2.0, 1, start_actor_steps=10)
  continued = schedule.continued_as(planned, actor_steps=450)
  assert due(continued, [450, 500, 501]) == [390, 390, 392]


# --- Resuming ------------------------------------------------------------------------


class _Learner:
  state = None

  def restore(self, state):
    self.state = state


def _resumed(replay_size):
  # One SGD step per environment step, after ten: 20 by step 30.
  schedule = UpdateSchedule(samples_per_step=4, batch_size=4, start_actor_steps=10)
  # Acme's loop counts whole episodes: five steps of one were not counted yet.
  saved = Progress(30, 20, schedule, {'actor_steps': 25, 'learner_steps': 20})
  learner = _Learner()
  progress = resume(
    Progress.from_json(json.loads(json.dumps(saved.as_json()))),
    schedule,
    learner=learner,
    learner_state='saved',
    replay_size=replay_size,
    min_replay_size=10,
  )
  assert learner.state == 'saved'
  assert (progress.actor_steps, progress.sgd_steps) == (30, 20)
  assert progress.counts == {'actor_steps': 30, 'learner_steps': 20}
  return progress.schedule


def test_resumed_run_with_its_replay_goes_on_at_the_next_step():
  schedule = _resumed(replay_size=10)
  assert [schedule.sgd_steps_due(step) for step in (30, 31, 32)] == [20, 21, 22]


@pytest.mark.parametrize('missing', [1, 10])
def test_resumed_run_without_its_replay_waits_until_it_is_filled(missing):
  schedule = _resumed(replay_size=10 - missing)
  filled = 30 + missing
  due = [schedule.sgd_steps_due(step) for step in (30, filled, filled + 1)]
  assert due == [20, 20, 21]
