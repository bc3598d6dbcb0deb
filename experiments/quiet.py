"""Keeps lines that no user of a run can use off the terminal."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from absl import flags, logging

_REVERB_PREFIX = b'[reverb/cc/'


def quiet_logs() -> None:
  """Shows warnings and errors of libraries only, unless --verbosity is given.

  At absl's own setting they tell of accelerators and accelerations that they looked
  for and did not find.
  """
  if not _verbose() and not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.WARNING)


@contextlib.contextmanager
def without_reverb_lines() -> Iterator[None]:
  """Drops the lines that Reverb's C++ writes to standard error within the block.

  Reverb has no setting for them. All other lines come through as they are written,
  for the block may hang and they may say why. `IQ_ACME_VERBOSE=1` lets all through.

  Yields:
    Nothing.
  """
  if _verbose():
    yield
    return
  sys.stderr.flush()
  terminal = os.dup(2)
  read_end, write_end = os.pipe()
  os.dup2(write_end, 2)
  os.close(write_end)
  forwarder = threading.Thread(
    target=_forward_lines, args=(read_end, terminal), daemon=True
  )
  forwarder.start()
  try:
    yield
  finally:
    sys.stderr.flush()
    os.dup2(terminal, 2)  # Closes the pipe, so that the forwarder comes to an end,
    forwarder.join(timeout=1.0)  # unless a child process has inherited it.


def _forward_lines(read_end: int, terminal: int) -> None:
  with os.fdopen(read_end, 'rb') as lines, os.fdopen(terminal, 'wb', 0) as output:
    for line in lines:
      if not line.startswith(_REVERB_PREFIX):
        output.write(line)


def _verbose() -> bool:
  return os.environ.get('IQ_ACME_VERBOSE', '0') not in ('', '0')
