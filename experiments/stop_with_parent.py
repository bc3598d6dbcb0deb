"""Becomes another program, which gets SIGTERM when its parent dies, even by SIGKILL.

  python experiments/stop_with_parent.py <parent's process id> <command> [arguments]

A program of its own, because Python code between fork and exec of a process with
threads can deadlock.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>; an exec keeps it.


def main(argv: Sequence[str]) -> None:
  """Replaces this process by the command."""
  _, parent, *command = argv
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
  if os.getppid() != int(parent):  # It died before it could be told of.
    sys.exit(128 + signal.SIGTERM)
  os.execvp(command[0], command)


if __name__ == '__main__':
  main(sys.argv)
