"""What a user sees of a run: a bar on a terminal, a line a minute in a log."""

import collections
import math
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import tqdm

_LINE_PERIOD = 60.0  # Seconds between two lines if there is no terminal.
_BAR_PERIOD = 0.2
_SPEED_SECONDS = 5.0  # Of training, that the shown speed looks back over.


def describe_mean(returns: Sequence[float]) -> str:
  """Returns the mean of a run's returns, in words."""
  return f'return {sum(returns) / len(returns):,.1f}'


class Clock:
  """Seconds of training, which stand still while something else goes on."""

  def __init__(self, seconds: float = 0.0):
    self._total = seconds
    self._started: float | None = None

  @property
  def seconds(self) -> float:
    """Seconds so far."""
    if self._started is None:
      return self._total
    return self._total + time.perf_counter() - self._started

  def start(self) -> None:
    """Goes on; no effect on a running clock."""
    if self._started is None:
      self._started = time.perf_counter()

  def stop(self) -> None:
    """Stands still; no effect on a standing clock."""
    self._total = self.seconds
    self._started = None


class Progress:
  """Shows the step, the return, the speed and the time that is left."""

  def __init__(
    self,
    num_steps: int,
    start: int,
    learning_starts: int,
    terminal: TextIO,
    describe_returns: Callable[[Sequence[float]], str] = describe_mean,
  ):
    """Shows the bar.

    Args:
      num_steps: where it ends.
      start: where it begins, above 0 for a resumed run.
      learning_starts: the step after which SGD steps are due. The time left is
        estimated from the first of them on: steps before are much faster, and that one
        is much slower.
      terminal: where to; a terminal gets a bar, anything else lines.
      describe_returns: says in a word what the last ten training episodes returned.
    """
    self._describe_returns = describe_returns
    self._num_steps = num_steps
    self._terminal = terminal
    self._step = start
    self._learning_starts = learning_starts
    self._first_mark = max(start, learning_starts)
    self._returns: collections.deque[float] = collections.deque(maxlen=10)
    self._speed: float | None = None
    self._last = (start, 0.0)  # Step and training seconds when last shown.
    # Step and wall clock from which the time left is estimated, evaluations included.
    self._mark: tuple[int, float] | None = None
    self._next_show = 0.0
    self._bar: tqdm.tqdm | None = None
    if terminal.isatty():
      tqdm.tqdm.monitor_interval = 0  # Its thread would draw while others write.
      self._bar = tqdm.tqdm(
        total=num_steps,
        file=terminal,
        initial=start,
        dynamic_ncols=True,
        leave=False,
        bar_format='{percentage:3.0f}% {bar:20} {desc}',
      )

  def add_episode(self, episode_return: float) -> None:
    """Takes the return of a training episode; the last ten are averaged."""
    self._returns.append(episode_return)

  def update(self, step: int, training_seconds: float) -> None:
    """Moves on to a step; shows it if the last time was long enough ago."""
    self._step = step
    now = time.monotonic()
    # From the second SGD step on: the first waits for its compilation, in a resumed run
    # too.
    if self._mark is None and step > self._first_mark:
      self._mark = (step, now)
    if now < self._next_show:
      return
    self._measure(step, training_seconds)
    first = not self._next_show
    self._next_show = now + (_LINE_PERIOD if self._bar is None else _BAR_PERIOD)
    if self._bar is not None:
      self._bar.n = step
      self._bar.set_description_str(self._text(now))
    elif not first:  # Nothing to say at the very start.
      print(self._text(now), file=self._terminal, flush=True)

  def say(self, text: str) -> None:
    """Prints a line that stays, above the bar."""
    if self._bar is not None:
      self._bar.clear()
    print(text, flush=True)
    if self._bar is not None:
      self._bar.refresh()

  def close(self) -> None:
    """Removes the bar."""
    if self._bar is not None:
      self._bar.close()

  def _measure(self, step: int, training_seconds: float) -> None:
    last_step, last_seconds = self._last
    if training_seconds > last_seconds and step > last_step:
      seconds = training_seconds - last_seconds
      speed = (step - last_step) / seconds
      # A moving average over time: a bar's intervals are too short to be read, a log's
      # are long enough by themselves.
      old = 0.0 if self._speed is None else math.exp(-seconds / _SPEED_SECONDS)
      self._speed = old * (self._speed or 0.0) + (1 - old) * speed
    self._last = (step, training_seconds)

  def _text(self, now: float) -> str:
    parts = [f'{self._step:,}/{self._num_steps:,}']
    if self._returns:
      parts.append(self._describe_returns(self._returns))
    if self._speed is not None:
      parts.append(f'{self._speed:,.0f} steps/s')
    if self._step < self._learning_starts:
      parts.append(f'learning starts at {self._learning_starts:,}')
    elif self._mark is not None and self._step > self._mark[0]:
      seconds_per_step = (now - self._mark[1]) / (self._step - self._mark[0])
      left = (self._num_steps - self._step) * seconds_per_step
      parts.append(f'ETA {tqdm.tqdm.format_interval(left)}')
    return ' · '.join(parts)
