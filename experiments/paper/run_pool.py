"""Runs programs side by side, a core each, until all are done or a signal comes."""

import concurrent.futures
import dataclasses
import functools
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from iq_acme import process

if TYPE_CHECKING:
  from experiments.paper.overview import Overview

_POLL_PERIOD = 0.1  # Seconds.
# Exit statuses of a job that has stopped because it was asked to.
_STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL)


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


@dataclasses.dataclass
class Outcome:
  """How a pool of jobs ended.

  Attributes:
    done: jobs that have reached their end, those that had before included.
    failures: jobs that did not, though they were started, each with why, in words.
    not_started: jobs that nobody got to, or that were stopped.
    signal: what stopped the pool, None if nothing did.
  """

  done: list[Job] = dataclasses.field(default_factory=list)
  failures: list[tuple[Job, str]] = dataclasses.field(default_factory=list)
  not_started: list[Job] = dataclasses.field(default_factory=list)
  signal: int | None = None

  @property
  def exit_status(self) -> int:
    """0, 1 if a job failed, or the shell's status of the signal."""
    if self.signal is not None:
      return 128 + self.signal
    return 1 if self.failures or self.not_started else 0


def run_jobs(
  jobs: Sequence[Job], cores: Sequence[int], overview: 'Overview'
) -> Outcome:
  """Runs jobs in order, one on each core at a time.

  A job that fails is reported, and the others go on. SIGINT and SIGTERM are passed on to
  the running ones, and no other is started: the first, as SIGTERM, lets them save and
  stop, the second kills them. They also save and stop should this process be killed, or
  end by an exception.

  Args:
    jobs: what to run; those that are done already are left alone.
    cores: the cores to run on, one for each job that runs at a time.
    overview: shows what goes on.

  Returns:
    How it ended.
  """
  outcome = Outcome([job for job in jobs if job.is_done()])
  pool = _Pool(cores, overview, outcome)
  stop = process.StopSignals(
    'letting the runs save and stop. Once more kills them, each to go on from its last '
    'checkpoint.',
    pool.stop,
  )
  with stop, concurrent.futures.ThreadPoolExecutor(len(cores)) as executor:
    left = {executor.submit(pool.run, job) for job in jobs if job not in outcome.done}
    try:
      while left:
        ended, left = concurrent.futures.wait(
          left, _POLL_PERIOD, concurrent.futures.FIRST_COMPLETED
        )
        for future in ended:
          future.result()  # Raises what it raised.
        overview.update(list(pool.running), outcome)
    except BaseException:
      if stop.received is None:
        pool.stop()
      raise
  outcome.signal = stop.received
  ended = [*outcome.done, *(job for job, _ in outcome.failures)]
  outcome.not_started = [job for job in jobs if job not in ended]
  return outcome


class _Pool:
  """What the threads share that run a job each."""

  def __init__(self, cores: Sequence[int], overview: 'Overview', outcome: Outcome):
    self.running: dict[Job, subprocess.Popen] = {}
    self._overview = overview
    self._outcome = outcome
    self._cores: queue.Queue[int] = queue.Queue()
    for core in cores:
      self._cores.put(core)
    self._is_full = self._is_stopping = False
    self._starting = threading.RLock()  # A signal's handler may interrupt its holder.

  def run(self, job: Job) -> None:
    core = self._cores.get()
    try:
      with self._starting:  # So that `stop` misses no job.
        if self._is_stopping or not self._has_room(job):
          return
        self.running[job] = child = _start(job, core)
      status = child.wait()
      del self.running[job]
    finally:
      self._cores.put(core)
    if status == 0 and job.is_done():
      self._outcome.done.append(job)
      self._overview.say(f'done: {job.name}')
    elif not (self._is_stopping and status in _STOPPED):
      reason = f'exit status {status}: {_last_line(job.log)}'
      self._outcome.failures.append((job, reason))
      self._overview.say(f'FAILED: {job.name}: {reason} (log: {job.log})')

  def stop(self) -> None:
    with self._starting:
      number = signal.SIGKILL if self._is_stopping else signal.SIGTERM
      self._is_stopping = True
      for child in list(self.running.values()):
        child.send_signal(number)

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


def _start(job: Job, core: int) -> subprocess.Popen:
  with open(job.log, 'ab') as log:
    return subprocess.Popen(
      job.command(core),
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=subprocess.STDOUT,
      start_new_session=True,  # Out of reach of Ctrl-C, which this process passes on.
      preexec_fn=functools.partial(
        process.die_with_parent, os.getpid(), signal.SIGTERM
      ),
    )


def _last_line(path: str) -> str:
  with open(path, 'rb') as file:
    file.seek(max(0, os.path.getsize(path) - 4_000))
    lines = file.read().decode(errors='replace').split('\n')
  return next((line.strip() for line in reversed(lines) if line.strip()), 'no output')
