"""Runs a program that gets one SIGTERM when it is to stop, or when its parent dies.

  python experiments/paper/stop_with_parent.py <parent's process id> <command> [arguments]

It stays between the two. The system sends it a signal when its parent dies, even by
SIGKILL, but may do so once for every thread that the parent had; a run takes a second
one as the order to end unsaved. Its exit status is the program's.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>.


def main(argv: Sequence[str]) -> int:
  """Runs the command, and returns its exit status as a shell would."""
  _, parent, *command = argv
  relay = _Relay()
  signal.signal(signal.SIGTERM, relay.handle)
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
  if (
    os.getppid() != int(parent) or relay.stopped
  ):  # It died before it could be told of.
    return 128 + signal.SIGTERM
  status = relay.run(command)
  return status if status >= 0 else 128 - status


class _Relay:
  """Passes the first SIGTERM on to a program, whenever it comes."""

  def __init__(self):
    self.stopped = False
    self._passed = False
    self._process: subprocess.Popen | None = None

  def run(self, command: Sequence[str]) -> int:
    self._process = subprocess.Popen(command)
    self._pass_on()  # What came while it was being started.
    return self._process.wait()

  def handle(self, unused_number: int, unused_frame: FrameType | None) -> None:
    self.stopped = True
    self._pass_on()

  def _pass_on(self) -> None:
    if self.stopped and self._process is not None and not self._passed:
      self._passed = True
      # Not its own method, which would wait for a lock that the signal interrupted.
      with contextlib.suppress(ProcessLookupError):
        os.kill(self._process.pid, signal.SIGTERM)


if __name__ == '__main__':
  sys.exit(main(sys.argv))
