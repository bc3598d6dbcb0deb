"""All runs of a pool at a glance: tqdm's bars on a terminal, a line a minute in a log."""

import contextlib
import io
import sys
import time
from collections.abc import Mapping, Sequence

import tqdm

from experiments.paper.run_pool import Job, Outcome
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

_LINE_PERIOD, _BAR_PERIOD = 60.0, 2.0  # Seconds between two reports.
_FORMAT = '{desc} {n_fmt}/{total_fmt}{postfix}'
_RUN_FORMAT = f'{_FORMAT}, {{rate_fmt}}, ETA {{remaining}}'


class Overview:
  """Shows each running job's steps, return and time left, and how many are through."""

  def __init__(self, num_steps: Mapping[str, int]):
    """Shows nothing yet.

    Args:
      num_steps: environment steps at which each job ends, by the job's name.
    """
    tqdm.tqdm.monitor_interval = 0  # Its thread would draw while others write.
    self._num_steps = num_steps
    self._is_terminal = sys.stdout.isatty()
    self._next_show = 0.0
    # In a log nobody sees the bars, but their text is printed.
    self._file = sys.stdout if self._is_terminal else io.StringIO()
    self._bars: dict[str, tqdm.tqdm] = {}

  def update(self, running: Sequence[Job], outcome: Outcome) -> None:
    """Shows the present state, if the last time was long enough ago."""
    if time.monotonic() < self._next_show or not (running or self._bars):
      return
    self._next_show = time.monotonic() + (
      _BAR_PERIOD if self._is_terminal else _LINE_PERIOD
    )
    for name in self._bars.keys() - {'', *(job.name for job in running)}:
      self._bars.pop(name).close()
    done, failed = len(outcome.done), len(outcome.failures)
    waiting = len(self._num_steps) - done - failed - len(running)
    text = f'{len(running)} running, {waiting} waiting, {failed} failed'
    self._show('', 'runs done', done, len(self._num_steps), text)
    for job in running:
      text, steps = '', 0
      with contextlib.suppress(OSError, ValueError, KeyError):  # The run's to say.
        last = metrics_files.last_row(RunDirectory(job.folder).episodes)
        text = f'return {last["episode_return"]:,.1f}'
        steps = int(last[metrics_files.STEP_COLUMN])
      self._show(job.name, job.name, steps, self._num_steps[job.name], text)
    if not self._is_terminal:
      bars = [str(bar) for bar in self._bars.values()]
      print(time.strftime('%H:%M:%S'), '\n  '.join(bars), flush=True)

  def say(self, text: str) -> None:
    """Prints a line that stays, above the bars."""
    tqdm.tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()

  def close(self) -> None:
    """Removes the bars."""
    for bar in reversed(self._bars.values()):
      bar.close()

  def _show(self, key: str, title: str, n: int, total: int, postfix: str) -> None:
    if key not in self._bars:
      self._bars[key] = tqdm.tqdm(
        desc=title,
        total=total,
        initial=n,  # From which its speed is told.
        file=self._file,
        unit=' steps',
        leave=False,
        dynamic_ncols=self._is_terminal,
        bar_format='{bar:12} ' * self._is_terminal + (_RUN_FORMAT if key else _FORMAT),
      )
    bar = self._bars[key]
    bar.n, bar.postfix = min(n, total), postfix
    bar.refresh()
