"""What the log warns of, for tests to read and to wait for."""

import threading

from absl import logging


class LogLines:
  """Collects warnings, and says when there are some."""

  def __init__(self, monkeypatch):
    self.lines = []
    self.arrived = threading.Event()
    monkeypatch.setattr(logging, 'warning', self._warning)

  def _warning(self, message, *args):
    self.lines.append(message % args)
    self.arrived.set()
