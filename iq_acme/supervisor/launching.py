"""Runs a program on this machine: starts it, shows it, ends it, says how it ended."""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

import cloudpickle
import launchpad as lp
from absl import flags

from iq_acme.compat import loopback
from iq_acme.process import StopSignals, import_path
from iq_acme.storage import locking
from iq_acme.supervisor import supervision
from iq_acme.supervisor.resources import local_resources

LAUNCH_TYPES = ('local_mt', 'local_mp')
# Not imported, or it could not be run as a module without a warning.
_LAUNCHER = 'iq_acme.supervisor.launcher'
_POLL_SECONDS = 0.1
_LOG_LINES = 60
_CRASH = 'Fatal Python error'  # How Python's faulthandler begins.


class NodeFailedError(RuntimeError):
  """A node of a program failed, and the program was ended.

  Attributes:
    node: the name of the node, such as 'actor/0'.
  """

  def __init__(self, node: str, message: str):
    super().__init__(message)
    self.node = node


@dataclasses.dataclass(frozen=True)
class LaunchResult:
  """How a program ended in order.

  Attributes:
    finished: whether it reached its step budget; False after a request to stop.
    signal_number: the signal that asked it to stop, None if none did.
    counts: actor_steps, learner_steps, training_seconds, replay_inserted,
      replay_sampled and samples_per_insert at its end; empty if it was stopped
      before it had begun, or did not stop in time and was killed.
  """

  finished: bool
  signal_number: int | None
  counts: Mapping[str, float]


def launch(
  program: lp.Program,
  launch_type: str | None = None,
  *,
  log_dir: str | None = None,
  stop_seconds: float = 120.0,
  listen: str = 'local',
) -> LaunchResult:
  """Runs a program of `make_distributed_iq` on this machine, to its end.

  The nodes, and Launchpad itself, run in processes of their own, which end with this
  one, however it ends. Needs no parsed flags, and works in scripts, in notebooks and
  under pytest.

  Ctrl-C or SIGTERM stop it in order, checkpoint and policy saved; the second kills it.

  Args:
    program: the program.
    launch_type: 'local_mp' gives each node a process, of which only the learner sees
      accelerators; 'local_mt' gives each a thread of one process. If it is None, the
      flag --lp_launch_type decides if flags are parsed, and 'local_mp' otherwise.
    log_dir: where the output of the nodes goes, a file each ('actor/0'), 'launcher.log'
      and 'processes.json', which tells their process ids; if None, a temporary
      folder that is kept only on failure.
    stop_seconds: how long an orderly stop may take before the program is killed.
    listen: 'local' lets this machine alone reach the servers of the nodes; 'all' leaves
      them on every interface, for nodes on other machines. Neither asks who calls, and
      Courier runs whatever code it is sent: behind a firewall only.

  Returns:
    How it ended, if that was in order.

  Raises:
    ValueError: for another launch type, or another `listen`.
    NodeFailedError: if a node failed; everything else has been ended then, and the
      last checkpoint is as it was.
  """
  launch_type = launch_type or _launch_type_of_flags()
  if launch_type not in LAUNCH_TYPES:
    raise ValueError(
      f'launch_type is {launch_type!r}; it must be one of {LAUNCH_TYPES}. For a cluster '
      'call `lp.launch` with its own resources.'
    )
  if listen not in loopback.CHOICES:
    raise ValueError(f'listen is {listen!r}; it must be one of {loopback.CHOICES}.')
  if listen == 'local' and (problem := loopback.problem()):
    print(problem, file=sys.stderr, flush=True)
    listen = 'all'  # So that its nodes do not each say so again.
  supervision.remove_abandoned_folders()
  with _folder(keeps_logs=log_dir is None) as folder:
    logs = os.path.join(folder, 'logs')
    if log_dir:
      logs = os.path.abspath(os.path.expanduser(log_dir))
    os.makedirs(logs, exist_ok=True)
    job = {
      'program': program,
      'launch_type': launch_type,
      'local_resources': local_resources(program),
    }
    with open(os.path.join(folder, supervision.JOB), 'wb') as file:
      cloudpickle.dump(job, file)
    return _Launch(folder, logs, stop_seconds, listen).run()


@contextlib.contextmanager
def _folder(keeps_logs: bool) -> Iterator[str]:
  """Makes the locked folder of a launch, and removes it unless its logs say what failed."""
  folder = tempfile.mkdtemp(prefix=supervision.FOLDER_PREFIX)
  keeps = False
  try:
    with locking.FileLock(os.path.join(folder, supervision.LOCK)):
      try:
        yield folder
      finally:
        with contextlib.suppress(FileNotFoundError):
          os.remove(os.path.join(folder, supervision.JOB))
  except NodeFailedError:
    keeps = keeps_logs
    raise
  finally:
    if not keeps:
      shutil.rmtree(folder, ignore_errors=True)


class _Launch:
  """One launch while it goes on."""

  def __init__(self, folder: str, logs: str, stop_seconds: float, listen: str):
    self._records = supervision.Records(folder)
    self._logs = logs
    self._stop_seconds = stop_seconds
    self._listen = listen
    self._stop = StopSignals(
      'stopping and saving. Once more ends it at once.', self._records.request_stop
    )
    self._shown = 0

  def run(self) -> LaunchResult:
    """Starts the launcher and follows it to its end."""
    with self._stop:
      with open(os.path.join(self._logs, 'launcher.log'), 'w') as log:
        process = subprocess.Popen(
          [sys.executable, '-m', _LAUNCHER, self._records.folder],
          env=self._environment(),
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          start_new_session=True,  # Out of reach of the terminal's Ctrl-C.
        )
      try:
        self._follow(process)
      finally:
        supervision.kill_group(process)
        self._show()
    return self._outcome(process.returncode)

  def _environment(self) -> dict[str, str]:
    return {
      **os.environ,
      'PYTHONPATH': import_path(),  # For programs are pickled.
      'LAUNCHPAD_LOGGING_DIR': self._logs,
      'PYTHONUNBUFFERED': '1',
      'PYTHONFAULTHANDLER': '1',  # Where a library aborts, the log says in whose call.
      # So that what Launchpad and Reverb leave behind goes with the folder.
      'TMPDIR': tempfile.mkdtemp(dir=self._records.folder),
      loopback.VARIABLE: self._listen,
      supervision.FOLDER_VARIABLE: self._records.folder,
      supervision.LAUNCHER_VARIABLE: str(os.getpid()),
    }

  def _follow(self, process: subprocess.Popen) -> None:
    """Shows lines until the launcher ends, or has to be ended."""
    deadline: float | None = None
    while process.poll() is None:
      self._show()
      if self._stop.requested() and deadline is None:
        # Before the program is set up there is nothing to save.
        patience = self._stop_seconds if self._records.opened() else 0.0
        deadline = time.monotonic() + patience
      if self._stop.count > 1 or (deadline and time.monotonic() > deadline):
        return
      time.sleep(_POLL_SECONDS)

  def _outcome(self, status: int) -> LaunchResult:
    number = self._stop.received
    result = self._records.result()
    if result is not None:
      finished = result.pop('finished')
      return LaunchResult(finished, None if finished else number, result)
    failures = self._records.failures()
    if failures:
      raise NodeFailedError(failures[0].node, self._describe(failures))
    if number is not None:
      if self._records.opened():
        print('Ended unsaved: what follows the last checkpoint is lost.', flush=True)
      return LaunchResult(False, number, {})
    raise NodeFailedError(
      'launcher',
      f'The launcher ended with status {status} before the program did:\n'
      + self._last_lines('launcher.log'),
    )

  def _describe(self, failures: list[supervision.Failure]) -> str:
    first, *others = failures
    lines = [f'Node {first.node} failed: {first.reason}']
    if first.says_all:
      return lines[0]
    if not first.killed:
      lines.append(first.details or self._last_lines(first.node))
    lines += [f'Node {other.node} failed as well: {other.reason}' for other in others]
    lines.append(f'What each node wrote is in {self._logs}.')
    return '\n'.join(line.rstrip() for line in lines)

  def _last_lines(self, name: str) -> str:
    try:
      with open(os.path.join(self._logs, name), errors='replace') as file:
        lines = file.readlines()
    except OSError:
      return ''
    return ''.join(last_words(lines))

  def _show(self) -> None:
    """Prints the whole lines that nodes have left for the terminal meanwhile."""
    with (
      contextlib.suppress(FileNotFoundError),
      open(self._records.console, 'rb') as file,
    ):
      file.seek(self._shown)
      while (line := file.readline()).endswith(b'\n'):
        self._shown += len(line)
        # Where nobody reads any more, the program still has to end well.
        with contextlib.suppress(BrokenPipeError):
          print(line.decode(), end='', flush=True)


def last_words(lines: Sequence[str]) -> list[str]:
  """Returns what tells most of how a process ended, from what it wrote.

  Args:
    lines: all of it.

  Returns:
    Its last lines; of a process that crashed the message, and the thread that did it,
    which comes first among the threads' stacks.
  """
  crashes = [i for i, line in enumerate(lines) if line.startswith(_CRASH)]
  if not crashes:
    return list(lines[-_LOG_LINES:])
  first = max(0, crashes[-1] - _LOG_LINES // 4)
  return list(lines[first : first + _LOG_LINES])


def _launch_type_of_flags() -> str:
  values = flags.FLAGS
  if values.is_parsed() and values['lp_launch_type'].present:
    return values.lp_launch_type
  return 'local_mp'
