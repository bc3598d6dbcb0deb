import sys
import time

import pytest

from iq_acme.training import progress


class FakeTime:
  now = 1000.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock(monkeypatch):
  fake = FakeTime()
  monkeypatch.setattr(time, 'monotonic', fake)
  monkeypatch.setattr(time, 'perf_counter', fake)
  return fake


def test_clock_counts_only_while_it_runs(clock):
  watch = progress.Clock(5.0)
  clock.now += 100
  watch.start()
  clock.now += 2
  watch.start()
  clock.now += 1
  assert watch.seconds == 8.0
  watch.stop()
  clock.now += 100
  watch.stop()
  assert watch.seconds == 8.0


def test_log_gets_a_line_a_minute_with_return_speed_and_time_left(clock, capsys):
  bar = progress.Progress(
    num_steps=10_000, start=0, learning_starts=1000, terminal=sys.stderr
  )
  bar.add_episode(-10.0)
  bar.add_episode(-20.0)
  bar.update(0, 0.0)
  assert capsys.readouterr().err == ''
  clock.now += 61
  bar.update(500, 50.0)
  line = capsys.readouterr().err
  assert line == ('500/10,000 · return -15.0 · 10 steps/s · learning starts at 1,000\n')
  clock.now += 1
  bar.update(1000, 51.0)
  clock.now += 40  # Compilation, in the first SGD step.
  bar.update(1001, 91.0)
  assert capsys.readouterr().err == ''
  clock.now += 99
  bar.update(1991, 190.0)
  # 990 steps in 99 seconds of wall clock: 8,009 more take 800.9 seconds.
  assert 'ETA 13:20' in capsys.readouterr().err


def test_time_left_of_a_resumed_run_leaves_its_compilation_out(clock, capsys):
  bar = progress.Progress(
    num_steps=10_000, start=5_000, learning_starts=1000, terminal=sys.stderr
  )
  clock.now += 40
  bar.update(5_001, 40.0)
  clock.now += 100
  bar.update(6_001, 140.0)
  # 1,000 steps in 100 seconds: 3,999 more take 399.9 seconds.
  assert 'ETA 6:39' in capsys.readouterr().err


def test_speed_of_a_line_is_that_of_the_minute_before_it(clock, capsys):
  bar = progress.Progress(
    num_steps=10_000, start=0, learning_starts=0, terminal=sys.stderr
  )
  bar.update(1, 1.0)  # Compilation.
  clock.now += 61
  bar.update(6_001, 61.0)
  # 100 steps/s in that minute; e^-12 of the first second's 1 step/s.
  assert ' · 100 steps/s' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('seconds', 'text'), [(7, '0:07'), (247.9, '4:07'), (3909, '1:05:09')]
)
def test_durations_read_like_a_clock(seconds, text):
  assert progress.readable_duration(seconds) == text
