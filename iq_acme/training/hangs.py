"""Says what a run waits for if its environment does not return."""

import contextlib
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator

from iq_acme.environments.watch import EnvironmentWatch
from iq_acme.process import SECONDS_OF_ONE_REQUEST, StopSignals

# How long a request to stop waits before it says for what.
STOP_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.5


@contextlib.contextmanager
def naming_hangs(
  watch: EnvironmentWatch,
  patience: float,
  stop: StopSignals,
  say: Callable[[str], None],
  describe_saved: Callable[[], str],
) -> Iterator[None]:
  """Names the call of an environment that does not return, within the block.

  A call that never comes back to Python lets no handler of signals run either; so what
  `StopSignals` would do at the second signal is done from here. (Unless it keeps Python's
  lock: then no thread runs, and only SIGKILL ends the process, whichever signal came.)

  Args:
    watch: of the environments.
    patience: seconds in one call before a line says so, then twice as many.
    stop: the signals that ask for a stop, after which a line comes much sooner.
    say: shows a line.
    describe_saved: says what is left if the run is ended now.
  """
  ended = threading.Event()

  def look(wakeups: int) -> None:
    requests = _Requests(wakeups)
    was_stopping, next_line = False, patience
    while not ended.is_set():
      requests.await_more(_LOOK_SECONDS)
      if len(requests.received) > 1:
        os._exit(128 + requests.received[-1])
      call, seconds = watch.waits_for()
      stopping = stop.requested() or bool(requests.received)
      if stopping != was_stopping or seconds < _LOOK_SECONDS:
        next_line = min(patience, STOP_PATIENCE_SECONDS) if stopping else patience
        was_stopping = stopping
      # Not before another signal is a second request, as the line says it is.
      if seconds > next_line and not requests.is_recent():
        next_line = 2 * seconds
        text = f'The environment has not returned from {call} for {seconds:,.0f} s.'
        if stopping:
          text += (
            f' The run waits for it; once more ends it at once. {describe_saved()}'
          )
        say(text)

  with _wakeups() as wakeups:
    thread = threading.Thread(target=look, args=(wakeups,), daemon=True)
    thread.start()
    try:
      yield
    finally:
      ended.set()
      thread.join()


class _Requests:
  """The requests to stop so far, counted as `StopSignals` does.

  A SIGHUP is no second request, and what comes several times at once is one.

  Attributes:
    received: the signal of each request.
  """

  def __init__(self, wakeups: int):
    self.received: list[int] = []
    self._wakeups = wakeups
    self._received_at = -math.inf

  def await_more(self, seconds: float) -> None:
    """Waits so long at most for a signal, and counts it."""
    if not select.select([self._wakeups], [], [], seconds)[0]:
      return
    asking = {signal.SIGINT, signal.SIGTERM}
    asking |= set() if self.received else {signal.SIGHUP}
    numbers = [number for number in os.read(self._wakeups, 64) if number in asking]
    if numbers and not self.is_recent():
      self.received.append(numbers[-1])
      self._received_at = time.monotonic()

  def is_recent(self) -> bool:
    """Returns whether the last request may still be coming in."""
    return time.monotonic() <= self._received_at + SECONDS_OF_ONE_REQUEST


@contextlib.contextmanager
def _wakeups() -> Iterator[int]:
  """What every signal is written to, as a byte, even if no Python code can run."""
  reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
  takes_signals = threading.current_thread() is threading.main_thread()
  if takes_signals:
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  try:
    yield reader
  finally:
    if takes_signals:
      signal.set_wakeup_fd(previous)
    os.close(reader)
    os.close(writer)
