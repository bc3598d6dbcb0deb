"""What a program adds to its learner's metrics: how long it waits, and more columns."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from acme.utils import loggers


class TimedIterator(Iterator[Any]):
  """An iterator that knows how long its user waits for it."""

  def __init__(self, iterator: Iterator[Any]):
    self._iterator = iterator
    self._waiting_since: float | None = None
    self._waited = 0.0
    self._window_start: float | None = None

  def __next__(self) -> Any:
    start = self._waiting_since = time.monotonic()
    try:
      return next(self._iterator)
    finally:
      self._waiting_since = None
      # The first wait, while replay fills up for the first time, is no idleness.
      if self._window_start is None:
        self._window_start = time.monotonic()
      else:
        self._waited += time.monotonic() - start

  def waits_for(self) -> float:
    """Seconds that the wait under way has taken so far; 0 outside of one."""
    since = self._waiting_since
    return 0.0 if since is None else time.monotonic() - since

  def busy_fraction(self) -> float:
    """Returns the part of the time since the last call that was not spent in waits."""
    now = time.monotonic()
    elapsed = now - (self._window_start or now)
    fraction = 1.0 - self._waited / elapsed if elapsed > 0 else 0.0
    self._window_start, self._waited = now, 0.0
    return fraction


class ExtendedLogger(loggers.Logger):
  """Adds columns to each row of a logger."""

  def __init__(self, logger: loggers.Logger, extras: Callable[[], Mapping[str, float]]):
    self._logger = logger
    self._extras = extras

  def write(self, data: Mapping[str, Any]) -> None:
    self._logger.write({**data, **self._extras()})

  def close(self) -> None:
    self._logger.close()
