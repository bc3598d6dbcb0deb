"""A line in the log where the learner waits long for replay."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging


class WatchedIterator(Iterator[Any]):
  """An iterator that logs a line where its next element is long in coming.

  Rate limiters that wait for one another are the most reported trouble with Reverb,
  and by themselves they wait in silence.
  """

  def __init__(
    self,
    iterator: Iterator[Any],
    describe: Callable[[], str],
    patience_seconds: float = 60.0,
  ):
    """Watches an iterator.

    Args:
      iterator: the iterator.
      describe: says what it waits for.
      patience_seconds: how long before a line is logged, and between lines.
    """
    self._iterator = iterator
    self._describe = describe
    self._patience = patience_seconds
    self._waiting_since: float | None = None
    self._watchdog: threading.Thread | None = None

  def __next__(self) -> Any:
    if self._watchdog is None:
      self._watchdog = threading.Thread(target=self._watch, daemon=True)
      self._watchdog.start()
    self._waiting_since = time.monotonic()
    try:
      return next(self._iterator)
    finally:
      self._waiting_since = None

  def _watch(self) -> None:
    warned_at = 0.0
    while True:
      time.sleep(min(self._patience / 4, 5.0))
      since, now = self._waiting_since, time.monotonic()
      if since is None or now - max(since, warned_at) < self._patience:
        continue
      warned_at = now
      logging.warning(
        'The learner has waited for replay for %.0f s. It waits for %s',
        now - since,
        self._describe(),
      )
