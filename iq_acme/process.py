"""A process among others: signals that stop it, its parent's death, its cores."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

# One request may come several times, such as that of `die_with_parent`: the system sends
# it once for every thread that the parent had.
SECONDS_OF_ONE_REQUEST = 0.3
_PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>.
_LIBC = ctypes.CDLL(None)


def stop_signals() -> tuple[signal.Signals, ...]:
  """Returns what asks a run to save and stop: no SIGHUP if it is ignored, by `nohup`."""
  if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    return (signal.SIGINT, signal.SIGTERM)
  return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
  """Context within which `stop_signals` ask for a stop: first saves, second ends.

  The first one is only remembered. The second ends the process as the system does by
  default, whatever it is doing, even if it is stuck in a library that never returns to
  Python; or, given `pass_on`, is left to those that it is passed on to. On exit the
  handlers that were there before are put back. Outside the main thread, where Python
  allows no handlers, nothing is installed.

  Attributes:
    received: the first signal's number, None before.
    count: how many signals have come.
  """

  def __init__(self, announcement: str, pass_on: Callable[[], None] | None = None):
    """Installs nothing yet.

    Args:
      announcement: what the first signal does, told to the user.
      pass_on: called at each signal, of a process whose children are to stop.
    """
    self.received: int | None = None
    self.count = 0
    self._announcement = announcement
    self._pass_on = pass_on
    self._previous: dict[int, Any] = {}

  def __enter__(self) -> 'StopSignals':
    if threading.current_thread() is threading.main_thread():
      self._previous = {n: signal.signal(n, self._handle) for n in stop_signals()}
    return self

  def __exit__(self, *unused_exception: Any) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def requested(self) -> bool:
    """Tells whether a signal has asked for a stop."""
    return self.received is not None

  @property
  def exit_status(self) -> int:
    """Returns the shell's status of the signal, 130 for SIGINT; 0 without one."""
    return 0 if self.received is None else 128 + self.received

  def _handle(self, number: int, unused_frame: FrameType | None) -> None:
    self.count += 1
    _LIBC.prctl(_PR_SET_PDEATHSIG, 0)  # The parent's death is no second request.
    for other in self._previous:
      signal.signal(other, lambda *unused: None)
    if self.received is None:
      self.received = number
      # os.write, because print may be what the signal interrupted. Ctrl-C ends a `tee`
      # on the way to the terminal too, and then nobody is left to be told.
      with contextlib.suppress(OSError):
        name = signal.Signals(number).name
        os.write(2, f'\n{name}: {self._announcement}\n'.encode())
    if self._pass_on is not None:
      self._pass_on()
    time.sleep(SECONDS_OF_ONE_REQUEST)
    again = signal.SIG_DFL if self._pass_on is None else self._handle
    for other in self._previous:
      # The system and the shell each send SIGHUP if a terminal closes.
      signal.signal(other, signal.SIG_IGN if other == signal.SIGHUP else again)


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
  """Has the system signal this process when its parent ends, however that ends.

  Args:
    parent: the parent's process id; this process ends at once if it is gone by now.
    number: the signal.
  """
  _LIBC.prctl(_PR_SET_PDEATHSIG, number)
  if os.getppid() != parent:
    os._exit(1)


def thread_variables(num_threads: int) -> dict[str, str]:
  """Returns the environment in which XLA, TensorFlow and BLAS use so many threads.

  Small networks gain little from a second core, so on a machine of many runs one
  core each is the best use of it.

  Args:
    num_threads: threads per pool, at least 1.
  """
  names = ['OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS']
  names += ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS']
  names.append('NPROC')  # The size of XLA's own pool on the CPU.
  variables = dict.fromkeys(names, str(num_threads))
  if num_threads == 1:
    flags = os.environ.get('XLA_FLAGS', '')
    variables['XLA_FLAGS'] = f'{flags} --xla_cpu_multi_thread_eigen=false'.strip()
  return variables


def import_path() -> str:
  """Returns the PYTHONPATH with which another process imports what this one can."""
  path = [entry or os.getcwd() for entry in sys.path]
  return os.pathsep.join(dict.fromkeys(path))


def describe_exit(status: int) -> str:
  """Says how a process ended.

  Args:
    status: as `subprocess` gives it, negative for a signal.
  """
  if status >= 0:
    return f'ended with exit status {status}'
  return f'was killed by signal {-status} ({signal.Signals(-status).name})'


def limit_threads(num_threads: int, first_core: int | None = None) -> None:
  """Limits this process to so many threads; call before what has them is imported.

  Args:
    num_threads: see `thread_variables`.
    first_core: if given, the process is also bound to `num_threads` cores from this
      one on; give runs side by side different ones.

  Raises:
    ValueError: if the cores do not exist.
  """
  os.environ.update(thread_variables(num_threads))
  if first_core is not None:
    cores = set(range(first_core, first_core + num_threads))
    usable = os.sched_getaffinity(0)
    if not cores <= usable:
      raise ValueError(f'Cores {sorted(cores)} asked for, of {sorted(usable)} usable.')
    os.sched_setaffinity(0, cores)
