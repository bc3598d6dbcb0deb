import os
import signal
import threading

import pytest

from iq_acme.process import StopSignals


@pytest.mark.parametrize(
  ('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_first_signal_is_remembered_and_the_second_is_the_systems(number, status):
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  with StopSignals() as stop:
    assert not stop.requested() and stop.exit_status == 0
    os.kill(os.getpid(), number)
    assert stop.requested() and stop.exit_status == status
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
  assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_handlers_come_back_after_an_exception():
  before = signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyError), StopSignals():
    raise KeyError
  assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone():
  before = signal.getsignal(signal.SIGINT)
  seen = []

  def target():
    with StopSignals() as stop:
      seen.append((signal.getsignal(signal.SIGINT), stop.requested()))

  thread = threading.Thread(target=target)
  thread.start()
  thread.join()
  assert seen == [(before, False)]
