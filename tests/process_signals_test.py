import os
import signal
import threading
import time

import pytest

from iq_acme.process import StopSignals


@pytest.mark.parametrize(
  ('number', 'status'),
  [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_first_signal_is_remembered_and_the_second_is_the_systems(number, status):
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  with StopSignals('saving') as stop:
    assert not stop.requested() and stop.exit_status == 0
    os.kill(os.getpid(), number)
    assert stop.requested() and stop.exit_status == status
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
  assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_second_hangup_of_a_closing_terminal_does_no_harm():
  before = signal.getsignal(signal.SIGHUP)
  with StopSignals('saving') as stop:
    for _ in range(2):
      os.kill(os.getpid(), signal.SIGHUP)
    assert stop.exit_status == 129
  assert signal.getsignal(signal.SIGHUP) is before


def test_hangup_that_is_ignored_stays_ignored():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # As by `nohup`.
  try:
    with StopSignals('saving') as stop:
      os.kill(os.getpid(), signal.SIGHUP)
      assert not stop.requested()
  finally:
    signal.signal(signal.SIGHUP, before)


def test_handlers_come_back_after_an_exception():
  before = signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyError), StopSignals('saving'):
    raise KeyError
  assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone():
  before = signal.getsignal(signal.SIGINT)
  seen = []

  def target():
    with StopSignals('saving') as stop:
      seen.append((signal.getsignal(signal.SIGINT), stop.requested()))

  thread = threading.Thread(target=target)
  thread.start()
  thread.join()
  assert seen == [(before, False)]


def test_each_signal_is_passed_on_to_children_and_the_process_stays():
  passed = []
  with StopSignals('stopping', lambda: passed.append(len(passed))) as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert passed == [0, 1] and stop.count == 2
  assert stop.exit_status == 143


def test_what_comes_several_times_at_once_is_one_request(capfd):
  def send():
    for _ in range(4):
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(0.05)

  with StopSignals('saving') as stop:
    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert stop.count == 1
  assert capfd.readouterr().err == '\nSIGTERM: saving\n'
