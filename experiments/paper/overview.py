"""All runs of a pool at a glance: bars on a terminal, a line a minute in a log."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping

import tqdm

from experiments.paper.run_pool import Job, Outcome
from iq_acme.training import metrics_files
from iq_acme.training.progress import readable_duration
from iq_acme.training.run_directory import RunDirectory

_LINE_PERIOD = 60.0  # Seconds between two reports where there is no terminal.
_BAR_PERIOD = 2.0
_TAIL_BYTES = 4_000


class Overview:
  """Shows each running job's steps, return and time left, and how many are through.

  Where nobody reads any more, such as behind `| head`, it is silent and the runs go on.
  """

  def __init__(
    self,
    num_jobs: int,
    num_steps: Mapping[str, int],
    workers: int,
    place: str = 'core',
  ):
    """Shows nothing yet.

    Args:
      num_jobs: how many jobs there are.
      num_steps: environment steps at which each ends, by the job's name.
      workers: how many run at a time.
      place: what each runs on, such as a core or, of many processes, a place.
    """
    self._num_jobs = num_jobs
    self._num_steps = num_steps
    self._place = place
    self._next_show = 0.0
    # Steps and wall clock when each job was first seen, to tell its speed.
    self._marks: dict[str, tuple[int, float]] = {}
    self._bars: list[tqdm.tqdm] = []
    if sys.stdout.isatty():
      tqdm.tqdm.monitor_interval = 0  # Its thread would draw while others write.
      self._bars = [
        tqdm.tqdm(
          total=100,
          file=sys.stdout,
          position=position,
          dynamic_ncols=True,
          leave=False,
          bar_format='{percentage:3.0f}% {bar:12} {desc}',
        )
        for position in range(workers + 1)
      ]

  def update(self, running: dict[int, Job], outcome: Outcome, waiting: int) -> None:
    """Shows the present state, if the last time was long enough ago."""
    now = time.monotonic()
    if now < self._next_show:
      return
    first = not self._next_show
    self._next_show = now + (_BAR_PERIOD if self._bars else _LINE_PERIOD)
    texts = {core: self._text(job, now) for core, job in sorted(running.items())}
    total = (
      f'{len(outcome.done)}/{self._num_jobs} runs done, {len(running)} running, '
      f'{waiting} waiting, {len(outcome.failures)} failed'
    )
    with contextlib.suppress(OSError):
      if self._bars:
        self._draw(0, len(outcome.done) / self._num_jobs, total)
        for bar, (core, (share, text)) in enumerate(texts.items(), start=1):
          self._draw(bar, share, f'{self._place} {core}: {text}')
        for bar in range(len(texts) + 1, len(self._bars)):
          self._draw(bar, 0.0, 'idle')
      elif not first or running:
        print(time.strftime('%H:%M:%S'), total)
        for core, (_, text) in texts.items():
          print(f'  {self._place} {core}: {text}', flush=True)

  def say(self, text: str) -> None:
    """Prints a line that stays, above the bars."""
    with contextlib.suppress(OSError):
      if self._bars:
        self._bars[0].write(text, file=sys.stdout)
      else:
        print(text, flush=True)

  def close(self) -> None:
    """Removes the bars."""
    with contextlib.suppress(OSError):
      for bar in reversed(self._bars):
        bar.close()

  def _draw(self, bar: int, share: float, text: str) -> None:
    self._bars[bar].n = round(100 * share)
    self._bars[bar].set_description_str(text)

  def _text(self, job: Job, now: float) -> tuple[float, str]:
    """Returns how much of a job is done, from 0 to 1, and the state in words."""
    total = self._num_steps[job.name]
    last = last_row(RunDirectory(job.folder).episodes)
    step = min(int(last.get('actor_steps', 0)), total)
    parts = [job.name, f'{step:,}/{total:,}']
    if 'episode_return' in last:
      parts.append(f'return {last["episode_return"]:,.1f}')
    mark_step, mark_time = self._marks.setdefault(job.name, (step, now))
    if step > mark_step:
      speed = (step - mark_step) / (now - mark_time)
      parts.append(f'{speed:,.0f} steps/s')
      parts.append(f'ETA {readable_duration((total - step) / speed)}')
    return step / total, ' · '.join(parts)


def last_row(path: str) -> dict[str, float]:
  """Returns the last whole row of a CSV file of numbers, empty where there is none."""
  columns = metrics_files.read_columns(path)
  with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
    file.seek(max(0, os.path.getsize(path) - _TAIL_BYTES))
    whole = file.read().decode(errors='replace').rpartition('\n')[0]
    cells = whole.rpartition('\n')[2].split(',')
    if len(cells) == len(columns) and cells != columns:
      return {k: float(v) if v else float('nan') for k, v in zip(columns, cells)}
  return {}
