"""What the nodes of a program and whoever launched it tell each other.

Launchpad restarts nothing, gives no exit status and names no node. So `launch` makes a
folder that every node knows by an environment variable, and nodes leave small files
there: why they failed, lines for the terminal, and how the program ended. A program
that something else has launched has no such folder, and runs all the same.
"""

import contextlib
import dataclasses
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from iq_acme.process import die_with_parent
from iq_acme.storage import files, locking

FOLDER_VARIABLE = 'IQ_ACME_LAUNCH_FOLDER'
LAUNCHER_VARIABLE = 'IQ_ACME_LAUNCHER'
FOLDER_PREFIX = 'iq_acme_launch_'
# The file that holds the program to be launched, as long as it runs.
JOB = 'job.pkl'
LOCK = '.lock'

_CONSOLE, _RESULT, _STOP, _OPENED = 'console', 'result.json', 'stop', 'opened'
_FAILURE_PREFIX = 'failure_'
# After a stop, what a node's thread gets to come to its own end.
_GRACE_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Failure:
  """A node that did not end as it should.

  Attributes:
    node: its name, such as 'actor/0'.
    reason: what it ended by, in words.
    details: its traceback, empty if it had no time for one.
    says_all: whether the reason needs no details, such as a full disk.
    time: when it was noticed, seconds since the epoch.
    killed: whether a signal ended it; those that end by an exception around the same
      time may only have missed it.
  """

  node: str
  reason: str
  details: str = ''
  says_all: bool = False
  time: float = 0.0
  killed: bool = False


class Records:
  """The files of one launch."""

  def __init__(self, folder: str):
    self.folder = folder

  @classmethod
  def of_this_process(cls) -> 'Records | None':
    """Returns those of the launch that this process belongs to, if any."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return cls(folder) if folder else None

  def add_failure(self, failure: Failure) -> None:
    """Records a failure; a node's first one stays."""
    name = _FAILURE_PREFIX + failure.node.replace('/', '_') + '.json'
    if not os.path.exists(self._path(name)):
      self._write(name, dataclasses.asdict(failure))

  def failures(self) -> list[Failure]:
    """Returns all failures, the likelier causes before consequences."""
    found = [
      Failure(**self._read(name))
      for name in os.listdir(self.folder)
      if name.startswith(_FAILURE_PREFIX)
    ]
    return sorted(found, key=lambda failure: (not failure.killed, failure.time))

  def set_result(self, result: dict[str, Any]) -> None:
    """Records how the program ended, once everything is written."""
    self._write(_RESULT, result)

  def result(self) -> dict[str, Any] | None:
    """Returns how the program ended; None before its orderly end."""
    return self._read(_RESULT)

  def mark_opened(self) -> None:
    """Records that the program is set up: a stop has something to save now."""
    self._write(_OPENED, {})

  def opened(self) -> bool:
    """Returns whether the program is set up."""
    return os.path.exists(self._path(_OPENED))

  def request_stop(self) -> None:
    """Asks the coordinator for an orderly stop."""
    self._write(_STOP, {})

  def stop_requested(self) -> bool:
    """Returns whether an orderly stop was asked for."""
    return os.path.exists(self._path(_STOP))

  @property
  def console(self) -> str:
    """The file of lines for the terminal."""
    return self._path(_CONSOLE)

  def _path(self, name: str) -> str:
    return os.path.join(self.folder, name)

  def _write(self, name: str, content: Any) -> None:
    files.write_json(self._path(name), content)

  def _read(self, name: str) -> Any:
    try:
      with open(self._path(name)) as file:
        return json.load(file)
    except FileNotFoundError:
      return None


def remove_abandoned_folders() -> None:
  """Removes the folders of this user's launches that were killed.

  A launch holds the lock of its folder, and takes the program out at its end.
  """
  pattern = os.path.join(tempfile.gettempdir(), f'{FOLDER_PREFIX}*', JOB)
  for folder in map(os.path.dirname, glob.glob(pattern)):
    with contextlib.suppress(OSError, locking.InUseError):
      lock = os.path.join(folder, LOCK)
      if os.path.exists(lock) and os.stat(folder).st_uid == os.getuid():
        with locking.FileLock(lock):
          shutil.rmtree(folder, ignore_errors=True)


def say(text: str) -> None:
  """Shows a line to the user, wherever this node runs."""
  records = Records.of_this_process()
  if records is None:
    print(text, flush=True)
    return
  with open(
    records.console, 'a', encoding='utf-8'
  ) as file:  # One write a line: nodes share the file.
    file.write(f'{text}\n')


def report_failure(node: str, error: BaseException) -> None:
  """Tells of an error that ends a node."""
  details = ''.join(traceback.format_exception(error))
  if records := Records.of_this_process():
    reason = f'{type(error).__name__}: {error}'
    says_all = isinstance(error, OSError) and error.errno in files.STORAGE_ERRORS
    records.add_failure(Failure(node, reason, details, says_all, time.time()))
  with contextlib.suppress(OSError):  # The log may be on the disk that is full.
    print(f'Node {node} failed:\n{details}', file=sys.stderr, flush=True)


def run_node(
  name: str, body: Callable[[], None], stop: threading.Event, *, own_process: bool
) -> None:
  """Runs a node to its end, or until the program stops.

  The body runs in a thread of its own. The calling thread only waits: a process whose
  main thread is held up in Reverb, in Courier or in a simulator hears no signal.

  Args:
    name: the node's name.
    body: what it does.
    stop: set when the program is to stop.
    own_process: whether the node has a process of its own, which is ended then without
      waiting for whatever threads libraries have left.

  Raises:
    BaseException: what the body raised, where the node has no process of its own.
  """
  launcher = os.environ.get(LAUNCHER_VARIABLE)
  if own_process and launcher:
    die_with_parent(int(launcher))
  errors: list[BaseException] = []

  def guarded() -> None:
    try:
      body()
    except BaseException as error:
      if not stop.is_set():
        errors.append(error)
        report_failure(name, error)

  thread = threading.Thread(target=guarded, name=name, daemon=True)
  thread.start()
  while thread.is_alive() and not stop.is_set():
    thread.join(0.05)
  thread.join(_GRACE_SECONDS)
  if own_process:
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(OSError):
        stream.flush()
    os._exit(1 if errors else 0)
  if errors:
    raise errors[0]


def kill_group(process: subprocess.Popen) -> None:
  """Kills a process and whatever it has started, and waits until all is gone.

  Args:
    process: one that leads a group of its own.
  """
  deadline = time.monotonic() + 10.0
  while time.monotonic() < deadline:
    try:
      os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
      break
    process.poll()  # Or it would stay, as a zombie, in its group.
    time.sleep(0.02)
  process.wait()
