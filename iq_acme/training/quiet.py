"""Keeps lines that no user of a run can use off the terminal."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from absl import flags, logging

_REVERB_LINE = r'^\[reverb/cc/'


def quiet_logs() -> None:
  """Shows warnings and errors of libraries only, unless --verbosity is given.

  At absl's own setting they tell of accelerators and accelerations that they looked
  for and did not find.
  """
  if not _verbose() and not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.WARNING)


@contextlib.contextmanager
def without_reverb_lines() -> Iterator[TextIO]:
  """Drops the lines that Reverb's C++ writes to standard error within the block.

  Reverb has no setting for them. All other lines come through as they are written,
  for the block may hang and they may say why. `IQ_ACME_VERBOSE=1` lets all through.

  Yields:
    Standard error as it was before, for a progress bar.
  """
  sys.stderr.flush()
  with _open_terminal() as terminal:
    process = _start_filter(terminal)
    if process is None:
      yield terminal
      return
    os.dup2(process.stdin.fileno(), 2)
    process.stdin.close()
    try:
      yield terminal
    finally:
      with contextlib.suppress(OSError):
        sys.stderr.flush()
      os.dup2(terminal.fileno(), 2)
      # The pipe is closed now, unless a process that was started meanwhile has it.
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)


@contextlib.contextmanager
def unbreakable_output() -> Iterator[None]:
  """Keeps `print` from raising within the block, whatever becomes of its reader.

  A character that the terminal's encoding lacks becomes a question mark. If a pipe is
  closed or a disk full, what is printed from then on is lost.
  """
  with (
    contextlib.redirect_stdout(_Unbreakable(sys.stdout)),
    contextlib.redirect_stderr(_Unbreakable(sys.stderr)),
  ):
    try:
      yield
    finally:
      for stream in (sys.stdout, sys.stderr):
        stream.flush()


class _Unbreakable:
  """A text stream whose `write` and `flush` never raise."""

  def __init__(self, stream: TextIO | None):
    self._stream = stream or open(os.devnull, 'w')  # noqa: SIM115 (closed at start)

  def write(self, text: str) -> int:
    encoding = self._stream.encoding or 'utf-8'
    with self._losing():
      self._stream.write(text.encode(encoding, 'replace').decode(encoding))
    return len(text)

  def flush(self) -> None:
    with self._losing():
      self._stream.flush()

  @contextlib.contextmanager
  def _losing(self) -> Iterator[None]:
    try:
      yield
    except (OSError, ValueError):
      # Or the interpreter would try to write the rest as it ends, and fail.
      with contextlib.suppress(OSError, ValueError), open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), self._stream.fileno())

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)


@contextlib.contextmanager
def _open_terminal() -> Iterator[TextIO]:
  """Opens standard error as a file of its own."""
  terminal = os.fdopen(os.dup(2), 'w')
  try:
    yield _Unbreakable(terminal)
  finally:
    with contextlib.suppress(OSError):  # What nobody reads any more.
      terminal.close()


def _start_filter(terminal: TextIO) -> subprocess.Popen | None:
  """Starts what lines go through on their way to the terminal, if anything.

  A process rather than a thread: it outlives a crash of this one and shows its last
  words, and it never waits for Python's lock.
  """
  if _verbose():
    return None
  try:
    return subprocess.Popen(
      ['grep', '--line-buffered', '--text', '--invert-match', _REVERB_LINE],
      stdin=subprocess.PIPE,
      stdout=terminal,
      start_new_session=True,  # Out of reach of Ctrl-C.
    )
  except FileNotFoundError:
    return None


def _verbose() -> bool:
  return os.environ.get('IQ_ACME_VERBOSE', '0') not in ('', '0')
