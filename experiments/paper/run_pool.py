"""Runs programs side by side, a core each, until all are done or a signal comes."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Protocol

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
    command: makes its command line from the core it is to run on.
    is_done: whether it has reached its end; asked before it starts, and after.
    bytes_needed: disk space that it may take.
  """

  name: str
  folder: str
  command: Callable[[int], Sequence[str]]
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
    """0, 1 where a job failed, or the shell's status of the signal."""
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
  return _Pool(jobs, cores, overview).run()


class _Pool:
  """Jobs that wait, run and have ended."""

  def __init__(self, jobs: Sequence[Job], cores: Sequence[int], overview: Overview):
    self._outcome = Outcome(done=[job for job in jobs if job.is_done()])
    self._waiting = [job for job in jobs if job not in self._outcome.done]
    self._cores = tuple(cores)
    self._running: dict[int, tuple[Job, subprocess.Popen]] = {}
    self._overview = overview
    self._signals: list[int] = []

  def run(self) -> Outcome:
    outcome = self._outcome
    previous = {
      number: signal.signal(number, self._handle)
      for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
      while self._running or (self._waiting and not self._signals):
        self._pass_signals_on()
        self._collect()
        self._start()
        self._show()
        time.sleep(_POLL_PERIOD)
    finally:
      self._stop_running()
      for number, handler in previous.items():
        signal.signal(number, handler)
    outcome.not_started += self._waiting
    return outcome

  def _start(self) -> None:
    for core in self._cores:
      if core in self._running or not self._waiting or self._outcome.signal is not None:
        continue
      job = self._waiting[0]
      os.makedirs(job.folder, exist_ok=True)
      free = shutil.disk_usage(job.folder).free
      if free < job.bytes_needed:
        self._overview.say(
          f'{job.name} may need {job.bytes_needed / 1e9:.1f} GB of disk and '
          f'{free / 1e9:.1f} GB are free: nothing more is started.'
        )
        self._outcome.not_started, self._waiting = self._waiting, []
        return
      del self._waiting[0]
      self._running[core] = (job, _launch(job, core))

  def _collect(self) -> None:
    for core, (job, process) in list(self._running.items()):
      status = process.poll()
      if status is None:
        continue
      del self._running[core]
      if status == 0 and job.is_done():
        self._outcome.done.append(job)
        self._overview.say(f'done: {job.name}')
      elif self._outcome.signal is None or status not in _STOPPED:
        reason = f'exit status {status}: {_last_line(job.log)}'
        self._outcome.failures.append(Failure(job, reason))
        self._overview.say(f'FAILED: {job.name}: {reason} (log: {job.log})')
      else:  # Stopped with the others, to be resumed.
        self._waiting.insert(0, job)

  def _show(self) -> None:
    running = {core: job for core, (job, _) in self._running.items()}
    self._overview.update(running, self._outcome, len(self._waiting))

  def _handle(self, number: int, unused_frame: FrameType | None) -> None:
    # Only remembered: it may have come while a job was being started.
    self._signals.append(number)
    message = (
      'letting the runs save and stop; once more kills them.'
      if len(self._signals) == 1
      else 'killing the runs; each resumes from its last checkpoint.'
    )
    signals.say_from_handler(number, message)

  def _pass_signals_on(self) -> None:
    if self._signals and self._outcome.signal is None:
      self._outcome.signal = self._signals[0]
      self._signal_all(signal.SIGTERM)
    if len(self._signals) > 1:
      self._signal_all(signal.SIGKILL)

  def _stop_running(self) -> None:
    """Lets those that are left, where something went wrong here, save and stop."""
    self._signal_all(signal.SIGTERM)
    while any(process.poll() is None for _, process in self._running.values()):
      if self._signals[1:]:
        self._signal_all(signal.SIGKILL)
      time.sleep(_POLL_PERIOD)

  def _signal_all(self, number: int) -> None:
    for _, process in self._running.values():
      if process.poll() is None:
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


def _last_line(path: str) -> Any:
  with open(path, 'rb') as file:
    file.seek(max(0, os.path.getsize(path) - 4_000))
    lines = [line.strip() for line in file.read().decode(errors='replace').splitlines()]
  return next((line for line in reversed(lines) if line), 'no output')
