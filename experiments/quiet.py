"""Keeps lines that no user of a run can use off the terminal."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

_REVERB_PREFIX = b'[reverb/cc/'


def quiet_jax() -> None:
  """Drops what JAX says about accelerators that it looked for and did not find."""
  if not _verbose():
    logging.getLogger('jax').setLevel(logging.WARNING)


@contextlib.contextmanager
def without_reverb_lines() -> Iterator[None]:
  """Drops the lines that Reverb's C++ writes to standard error within the block.

  Reverb has no setting for them. Everything else is held back and written at the
  end of the block, also when it raises. `IQ_ACME_VERBOSE=1` lets all through.

  Yields:
    Nothing.
  """
  if _verbose():
    yield
    return
  sys.stderr.flush()
  terminal = os.dup(2)
  with tempfile.TemporaryFile() as held:
    os.dup2(held.fileno(), 2)
    try:
      yield
    finally:
      sys.stderr.flush()
      os.dup2(terminal, 2)
      os.close(terminal)
      held.seek(0)
      for line in held:
        if not line.startswith(_REVERB_PREFIX):
          os.write(2, line)


def _verbose() -> bool:
  return os.environ.get('IQ_ACME_VERBOSE', '0') not in ('', '0')
