"""An iterator that says in the log what a reader waits for."""

import threading

import pytest
from log_lines import LogLines

from iq_acme.replay import WatchedIterator


def test_a_learner_that_need_not_wait_is_not_logged(monkeypatch):
  log = LogLines(monkeypatch)
  release = threading.Event()

  def elements():
    yield from range(3)
    release.wait(60)
    yield 3

  iterator = WatchedIterator(elements(), lambda: 'Godot.', patience_seconds=0.05)
  assert [next(iterator) for _ in range(3)] == [0, 1, 2]
  assert not log.arrived.wait(0.3)  # Nobody asks for an element meanwhile.
  thread = threading.Thread(target=lambda: next(iterator), daemon=True)
  thread.start()
  assert log.arrived.wait(60)
  release.set()
  thread.join(60)
  assert log.lines[0].endswith('It waits for Godot.')


def watchdogs():
  return [
    thread
    for thread in threading.enumerate()
    if getattr(thread._target, '__name__', '') == 'run'
    and type(thread._target.__self__).__name__ == '_Watch'
  ]


@pytest.mark.parametrize('end', ['closed', 'forgotten'])
def test_the_thread_that_watches_ends_with_its_iterator(end):
  before = watchdogs()
  iterator = WatchedIterator(iter(range(3)), lambda: 'Godot.', patience_seconds=3600)
  assert next(iterator) == 0
  (thread,) = set(watchdogs()) - set(before)
  if end == 'closed':
    for _ in range(2):
      iterator.close()
    assert list(iterator) == []
    assert not thread.is_alive()
  else:
    del iterator
    thread.join(60)
    assert not thread.is_alive()


def test_closing_a_watched_iterator_closes_what_it_watches():
  closed = []

  def elements():
    try:
      yield from range(3)
    finally:
      closed.append(True)

  iterator = WatchedIterator(elements(), lambda: 'Godot.')
  assert next(iterator) == 0
  iterator.close()
  assert closed == [True]
