"""A line in the log where the learner waits long for replay."""

import threading
import time
import weakref
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
    self._watch = _Watch(describe, patience_seconds)
    self._watchdog: threading.Thread | None = None
    self._closed = False
    # Acme's own layouts close nothing, so the thread ends with this object too. It
    # knows the watch alone, lest it keep what it watches alive.
    weakref.finalize(self, self._watch.ended.set)

  def __next__(self) -> Any:
    if self._closed:
      raise StopIteration
    if self._watchdog is None:
      self._watchdog = threading.Thread(target=self._watch.run, daemon=True)
      self._watchdog.start()
    self._watch.waiting_since = time.monotonic()
    try:
      return next(self._iterator)
    finally:
      self._watch.waiting_since = None

  def close(self) -> None:
    """Ends the thread and the iterator, which has no elements from then on."""
    self._closed = True
    self._watch.ended.set()
    if self._watchdog is not None:
      self._watchdog.join()
    iterator, self._iterator = self._iterator, iter(())
    if hasattr(iterator, 'close'):
      iterator.close()


class _Watch:
  """What the thread watches.

  Attributes:
    patience: seconds before a line is logged, and between lines.
    waiting_since: when the wait under way began; None where there is none.
    ended: set where there is nothing to watch any more.
  """

  def __init__(self, describe: Callable[[], str], patience: float):
    self.patience = patience
    self.waiting_since: float | None = None
    self.ended = threading.Event()
    self._describe = describe

  def run(self) -> None:
    warned_at = 0.0
    while not self.ended.wait(min(self.patience / 4, 5.0)):
      since, now = self.waiting_since, time.monotonic()
      if since is None or now - max(since, warned_at) < self.patience:
        continue
      warned_at = now
      logging.warning(
        'The learner has waited for replay for %.0f s. It waits for %s',
        now - since,
        self._describe(),
      )
