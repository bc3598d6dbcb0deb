"""An iterator that says in the log what a reader waits for."""

import threading

import pytest
from log_lines import LogLines

from iq_acme.replay import shared_ring
from iq_acme.replay.table import watched


def test_a_learner_that_need_not_wait_is_not_logged(monkeypatch):
  monkeypatch.setattr(shared_ring, 'PATIENCE_SECONDS', 0.05)
  log = LogLines(monkeypatch)
  release = threading.Event()

  def elements():
    yield from range(3)
    release.wait(60)
    yield 3

  iterator = watched(elements(), lambda: 'Godot.')
  assert [next(iterator) for _ in range(3)] == [0, 1, 2]
  assert not log.arrived.wait(0.3)  # Nobody asks for an element meanwhile.
  found = []
  thread = threading.Thread(target=lambda: found.extend(iterator), daemon=True)
  thread.start()
  assert log.arrived.wait(60)
  release.set()
  thread.join(60)
  assert found == [3]  # It goes on, and ends with what it watches.
  assert log.lines[0].endswith('It waits for Godot.')


def test_a_long_wait_is_one_line(monkeypatch):
  monkeypatch.setattr(shared_ring, 'PATIENCE_SECONDS', 0.05)
  log = LogLines(monkeypatch)
  release = threading.Event()
  iterator = watched((release.wait(60) for _ in range(2)), lambda: 'Godot.')
  threading.Timer(0.5, release.set).start()
  next(iterator)
  assert len(log.lines) == 1


def watchdogs():
  return [
    thread for thread in threading.enumerate() if thread.name == 'replay_watchdog'
  ]


@pytest.mark.parametrize('end', ['closed', 'forgotten', 'exhausted'])
def test_the_thread_that_watches_ends_with_its_iterator(end):
  before = watchdogs()
  iterator = watched(iter(range(3)), lambda: 'Godot.')
  assert next(iterator) == 0
  (thread,) = set(watchdogs()) - set(before)
  if end == 'closed':
    for _ in range(2):
      iterator.close()
    assert list(iterator) == []
  elif end == 'exhausted':
    assert list(iterator) == [1, 2]
  else:
    del iterator
  thread.join(60)
  assert not thread.is_alive()
