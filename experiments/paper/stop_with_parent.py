"""Runs a program that gets one SIGTERM when it is to stop, or when its parent dies.

  python experiments/paper/stop_with_parent.py <parent's process id> <command> [arguments]

It stays between the two. The system sends it a signal when its parent dies, even by
SIGKILL, but may do so once for every thread that the parent had; a run takes a second
one as the order to end unsaved. Its exit status is the program's.
"""

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>.


def main(parent: str, *command: str) -> int:
  """Runs the command, and returns its exit status as a shell would."""
  # Blocked, so that none is lost: what came before the program starts waits for it.
  awaited = {signal.SIGTERM, signal.SIGCHLD}
  signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
  if os.getppid() != int(parent) or signal.SIGTERM in signal.sigpending():
    return 128 + signal.SIGTERM
  process = subprocess.Popen(
    command, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
  )
  while process.poll() is None:
    if signal.sigwait(awaited) == signal.SIGTERM:
      process.terminate()
      awaited = {signal.SIGCHLD}  # The first only.
  return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))
