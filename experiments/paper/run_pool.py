"""Runs programs side by side, a core each, until all are done or a signal comes."""

import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from experiments.paper import stop_with_parent
from iq_acme import process as signals

_POLL_PERIOD = 0.5  # Seconds.
# Exit statuses of a job that was asked to stop, and may be resumed.
_STOPPED = (
  0,
  128 + signal.SIGINT,
  128 + signal.SIGTERM,
  -signal.SIGTERM,
  128 + signal.SIGKILL,
  -signal.SIGKILL,
)


@dataclasses.dataclass(frozen=True)
class Job:
  """One program to run.

  Attributes:
    name: for people.
    folder: where its log goes; the disk that it fills.
    command: makes its command line from the core it is to run on, None for any.
    is_done: whether it has reached its end; asked before it starts, and after.
    bytes_needed: disk space that it may take.
  """

  name: str
  folder: str
  command: Callable[[int | None], Sequence[str]]
  is_done: Callable[[], bool]
  bytes_needed: int = 0

  @property
  def log(self) -> str:
    """The file that its output is appended to."""
    return os.path.join(self.folder, 'log.txt')


@dataclasses.dataclass(frozen=True)
class Failure:
  """A job that did not reach its end.

  Attributes:
    job: which.
    reason: why, in words.
  """

  job: Job
  reason: str


@dataclasses.dataclass
class Outcome:
  """How a pool of jobs ended.

  Attributes:
    done: jobs that have reached their end, those that had before included.
    failures: jobs that did not, though they were started.
    not_started: jobs that nobody got to.
    signal: what stopped the pool, None if nothing did.
  """

  done: list[Job] = dataclasses.field(default_factory=list)
  failures: list[Failure] = dataclasses.field(default_factory=list)
  not_started: list[Job] = dataclasses.field(default_factory=list)
  signal: int | None = None

  @property
  def exit_status(self) -> int:
    """0, 1 if a job failed, or the shell's status of the signal."""
    if self.signal is not None:
      return 128 + self.signal
    return 1 if self.failures or self.not_started else 0


class Overview(Protocol):
  """Shows what goes on."""

  def update(self, running: dict[int, Job], outcome: Outcome, waiting: int) -> None:
    """Takes the jobs by core, how the others ended, and how many wait."""

  def say(self, text: str) -> None:
    """Shows a line that stays."""


def run_jobs(jobs: Sequence[Job], cores: Sequence[int], overview: Overview) -> Outcome:
  """Runs jobs in order, one on each core at a time.

  A job that fails is reported, and the others go on. The first SIGINT or SIGTERM is
  passed to the running ones as SIGTERM, so that they save and stop, and no other is
  started; the second kills them. They also save and stop should this process be killed,
  or end by an exception.

  Args:
    jobs: what to run; those that are done already are left alone.
    cores: the cores to run on, one for each job that runs at a time.
    overview: shows what goes on.

  Returns:
    How it ended.
  """
  pool = _Pool(cores, overview)
  previous = {
    number: signal.signal(number, pool.handle)
    for number in (signal.SIGINT, signal.SIGTERM)
  }
  try:
    return pool.run(jobs)
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)


class _Pool:
  """Threads that run one job each; the main thread passes signals on to the jobs."""

  def __init__(self, cores: Sequence[int], overview: Overview):
    self._outcome = Outcome()
    self._num_cores = len(cores)
    self._cores: queue.Queue[int] = queue.Queue()
    for core in cores:
      self._cores.put(core)
    self._running: dict[int, tuple[Job, subprocess.Popen]] = {}
    self._overview = overview
    self._signals: list[int] = []
    self._is_full = self._is_stopping = False
    self._lock = threading.Lock()  # Held while any of these but `_signals` change.

  def run(self, jobs: Sequence[Job]) -> Outcome:
    outcome = self._outcome
    outcome.done = [job for job in jobs if job.is_done()]
    waiting = [job for job in jobs if job not in outcome.done]
    with concurrent.futures.ThreadPoolExecutor(self._num_cores) as executor:
      futures = [executor.submit(self._run_job, job) for job in waiting]
      try:
        while not self._wait(futures):
          self._pass_signals_on()
          self._show(len(jobs))
      finally:
        self._is_stopping = True  # If something went wrong here, too.
        self._signal_all(signal.SIGTERM)
        while not all(future.done() for future in futures):
          concurrent.futures.wait(futures, _POLL_PERIOD)
          self._pass_signals_on()
    outcome.signal = next(iter(self._signals), None)
    ended = [*outcome.done, *(failure.job for failure in outcome.failures)]
    outcome.not_started = [job for job in jobs if job not in ended]
    return outcome

  def handle(self, number: int, unused_frame: FrameType | None) -> None:
    # Only remembered: it may have come while a job was being started.
    self._signals.append(number)
    message = (
      'letting the runs save and stop; once more kills them.'
      if len(self._signals) == 1
      else 'killing the runs; each resumes from its last checkpoint.'
    )
    signals.say_from_handler(number, message)

  def _run_job(self, job: Job) -> None:
    with self._lock:
      if self._signals or self._is_stopping or not self._has_room(job):
        return
      core = self._cores.get()
      try:
        process = _launch(job, core)
      except BaseException:
        self._cores.put(core)  # The thread goes on to the next job, and would wait.
        raise
      self._running[core] = (job, process)
    status = process.wait()
    with self._lock:
      del self._running[core]
      self._cores.put(core)
      self._note_end(job, status)

  def _has_room(self, job: Job) -> bool:
    os.makedirs(job.folder, exist_ok=True)
    free = shutil.disk_usage(job.folder).free
    if free < job.bytes_needed and not self._is_full:
      self._is_full = True
      self._overview.say(
        f'{job.name} may need {job.bytes_needed / 1e9:.1f} GB of disk and '
        f'{free / 1e9:.1f} GB are free: nothing more is started.'
      )
    return not self._is_full

  def _note_end(self, job: Job, status: int) -> None:
    if status == 0 and job.is_done():
      self._outcome.done.append(job)
      self._overview.say(f'done: {job.name}')
    elif not self._is_stopping or status not in _STOPPED:
      reason = f'exit status {status}: {_last_line(job.log)}'
      self._outcome.failures.append(Failure(job, reason))
      self._overview.say(f'FAILED: {job.name}: {reason} (log: {job.log})')

  def _wait(self, futures: Sequence[concurrent.futures.Future]) -> bool:
    """Waits a moment; returns whether all have ended, raises what one of them did."""
    first = concurrent.futures.FIRST_EXCEPTION
    done, left = concurrent.futures.wait(futures, _POLL_PERIOD, first)
    for future in done:
      future.result()
    return not left

  def _show(self, num_jobs: int) -> None:
    with self._lock:
      running = {core: job for core, (job, _) in self._running.items()}
      ended = len(self._outcome.done) + len(self._outcome.failures)
    self._overview.update(running, self._outcome, num_jobs - ended - len(running))

  def _pass_signals_on(self) -> None:
    if self._signals and not self._is_stopping:
      self._is_stopping = True
      self._signal_all(signal.SIGTERM)
    if len(self._signals) > 1:
      self._signal_all(signal.SIGKILL)

  def _signal_all(self, number: int) -> None:
    with self._lock:
      for _, process in self._running.values():
        with contextlib.suppress(ProcessLookupError):
          if number == signal.SIGKILL:
            os.killpg(process.pid, number)  # Also what it has started.
          else:
            process.send_signal(number)


def _launch(job: Job, core: int) -> subprocess.Popen:
  with open(job.log, 'ab') as log:
    return subprocess.Popen(
      [sys.executable, stop_with_parent.__file__, str(os.getpid()), *job.command(core)],
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=subprocess.STDOUT,
      start_new_session=True,  # Out of reach of Ctrl-C, which this process passes on.
    )


def _last_line(path: str) -> str:
  with open(path, 'rb') as file:
    file.seek(max(0, os.path.getsize(path) - 4_000))
    lines = [line.strip() for line in file.read().decode(errors='replace').splitlines()]
  return next((line for line in reversed(lines) if line), 'no output')
