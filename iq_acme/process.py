"""A process among others: the signals that stop it, the cores that it may use."""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any


def stop_signals() -> tuple[signal.Signals, ...]:
  """Returns what asks a run to save and stop: no SIGHUP if it is ignored, by `nohup`."""
  if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    return (signal.SIGINT, signal.SIGTERM)
  return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
  """Context within which SIGINT, SIGTERM and SIGHUP ask for a stop instead of stopping.

  The first signal is only remembered. It also gives SIGINT and SIGTERM back to the
  system's default, so a second one ends the process whatever it is doing, even if
  it is stuck in a library that never returns to Python. On exit the handlers that
  were there before are put back. Outside the main thread, where Python allows no
  handlers, nothing is installed.

  Attributes:
    received: the first signal's number, None before.
  """

  def __init__(self):
    self.received: int | None = None
    self._previous: dict[int, Any] = {}

  def __enter__(self) -> 'StopSignals':
    if threading.current_thread() is threading.main_thread():
      for number in stop_signals():
        self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *unused_exception: Any) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._previous.clear()

  def requested(self) -> bool:
    """Whether a signal has asked for a stop."""
    return self.received is not None

  @property
  def exit_status(self) -> int:
    """The shell's status for the signal received: 129 SIGHUP, 130 SIGINT, 143 SIGTERM, else 0."""
    return 0 if self.received is None else 128 + self.received

  def _handle(self, number: int, unused_frame: FrameType | None) -> None:
    self.received = number
    for other in self._previous:
      # The system and the shell each send SIGHUP if a terminal closes.
      again = signal.SIG_IGN if other == signal.SIGHUP else signal.SIG_DFL
      signal.signal(other, again)
    say_from_handler(
      number, 'finishing this step and saving. Once more ends the run at once, unsaved.'
    )


def say_from_handler(number: int, text: str) -> None:
  """Tells a user, within a signal's handler, what it does; never raises.

  Args:
    number: the signal's.
    text: what is done about it.
  """
  # os.write, because print may be what the signal interrupted. Ctrl-C ends a `tee` on
  # the way to the terminal too, and then nobody is left to be told.
  with contextlib.suppress(OSError):
    os.write(2, f'\n{signal.Signals(number).name}: {text}\n'.encode())


def limit_threads(num_threads: int, first_core: int | None = None) -> None:
  """Makes XLA, TensorFlow and BLAS use so many threads; call before importing them.

  Small networks gain little from a second core, so on a machine of many runs one
  core each is the best use of it.

  Args:
    num_threads: threads per pool, at least 1.
    first_core: if given, the process is also bound to `num_threads` cores from this
      one on; give runs side by side different ones.

  Raises:
    ValueError: if the cores do not exist.
  """
  for name in (
    'OMP_NUM_THREADS',
    'OPENBLAS_NUM_THREADS',
    'MKL_NUM_THREADS',
    'TF_NUM_INTRAOP_THREADS',
    'TF_NUM_INTEROP_THREADS',
    'NPROC',  # The size of XLA's own pool on the CPU.
  ):
    os.environ[name] = str(num_threads)
  if num_threads == 1:
    flags = os.environ.get('XLA_FLAGS', '')
    os.environ['XLA_FLAGS'] = f'{flags} --xla_cpu_multi_thread_eigen=false'.strip()
  if first_core is not None:
    cores = set(range(first_core, first_core + num_threads))
    usable = os.sched_getaffinity(0)
    if not cores <= usable:
      raise ValueError(f'Cores {sorted(cores)} asked for, of {sorted(usable)} usable.')
    os.sched_setaffinity(0, cores)
