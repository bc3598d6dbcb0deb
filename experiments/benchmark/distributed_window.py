"""A window of a running program: its rates, from its own rows, and its CPU time."""

import dataclasses
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from iq_acme.storage import files


class WindowError(Exception):
  """A program could not be measured, in words."""


class StampedRows:
  """Makes loggers that append rows, with the time they came at, to a file each."""

  def __init__(self, folder: str, label: str = ''):
    """Remembers where to."""
    self._folder = folder
    self._label = label

  def __call__(self, label: str) -> 'StampedRows':
    """Returns the logger of a label."""
    return StampedRows(self._folder, label)

  def write(self, data: Mapping[str, Any]) -> None:
    """Appends a row."""
    row = {name: float(value) for name, value in data.items()} | {'time': time.time()}
    with open(os.path.join(self._folder, f'{self._label}.jsonl'), 'a') as file:
      file.write(json.dumps(row) + '\n')

  def close(self) -> None:
    """Does nothing: no file stays open."""


@dataclasses.dataclass(frozen=True)
class Window:
  """What was measured of a program, or of the local agent.

  Attributes:
    name: of the row.
    seconds: length of the window.
    actor_steps: environment steps in it.
    learner_steps: SGD steps in it.
    busy_fraction: the part in which the learner did not wait for replay; None for the
      local agent.
    samples_per_insert: at its end, since the start of the run; None as above.
    cpu_seconds: by the label of nodes; empty for threads, which share a process.
    loopback_bytes: what the machine's loopback device carried, whoever sent it.
  """

  name: str
  seconds: float
  actor_steps: float
  learner_steps: float
  busy_fraction: float | None
  samples_per_insert: float | None
  cpu_seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
  loopback_bytes: float = 0.0


def window_table(windows: Sequence[Window]) -> str:
  """Returns the measurements as a Markdown table."""
  lines = [
    '| layout | actor steps/s | updates/s | learner busy | samples per insert | CPU ms '
    'per step: actors, replay, counter, learner | loopback bytes per step |',
    '|---|---|---|---|---|---|---|',
  ]
  for w in windows:
    cpu = ', '.join(
      f'{1e3 * w.cpu_seconds[label] / w.actor_steps:.3f}'
      for label in ('actor', 'replay', 'counter', 'learner')
      if label in w.cpu_seconds
    )
    lines.append(
      f'| {w.name} | {w.actor_steps / w.seconds:,.0f} | '
      f'{w.learner_steps / w.seconds:,.0f} | {_number(w.busy_fraction, 2)} | '
      f'{_number(w.samples_per_insert, 1)} | {cpu or "-"} | '
      f'{w.loopback_bytes / w.actor_steps:,.0f} |'
    )
  return '\n'.join(lines)


def _number(value: float | None, digits: int) -> str:
  return '-' if value is None else f'{value:.{digits}f}'


class Watcher(threading.Thread):
  """Reads a program's rows for a window, then stops it as Ctrl-C would.

  Attributes:
    ended: to be set when the program has ended by itself.
    window: what was measured; None before that, and if it ended too early.
    error: what went wrong, if anything did.
  """

  def __init__(self, folder: str, name: str, warm_up_seconds: float, seconds: float):
    """Prepares the thread; `start` it before the program is launched.

    Args:
      folder: what `StampedRows` and the program's logs are written into.
      name: of the window.
      warm_up_seconds: learning before the window.
      seconds: the window's length.
    """
    super().__init__(daemon=True)
    self._folder = folder
    self._name = name
    self._warm_up_seconds = warm_up_seconds
    self._seconds = seconds
    self.ended = threading.Event()
    self.window: Window | None = None
    self.error: Exception | None = None

  def run(self) -> None:
    try:
      self._watch()
    except Exception as error:
      self.error = error
    finally:
      if not self.ended.is_set():
        os.kill(os.getpid(), signal.SIGINT)

  def _watch(self) -> None:
    while not self._rows():
      if self.ended.wait(0.5):
        return
    time.sleep(self._warm_up_seconds)
    cpu, sent = self._cpu_seconds(), _loopback_bytes()
    started = time.time()
    time.sleep(self._seconds)
    ended = time.time()
    cpu = {label: after - cpu[label] for label, after in self._cpu_seconds().items()}
    sent = _loopback_bytes() - sent
    rows = [row for row in self._rows() if started <= row['time'] <= ended]
    if len(rows) < 2:
      raise WindowError(
        f'{self._name} wrote {len(rows)} rows in {self._seconds:g} seconds; a rate needs '
        'two: raise --seconds.'
      )
    first, last = rows[0], rows[-1]
    # Rows come at their own times: rates between two of them, for the whole window.
    scale = (ended - started) / (last['time'] - first['time'])
    spans = [later['time'] - row['time'] for row, later in itertools.pairwise(rows)]
    busy = [row['learner_busy_fraction'] for row in rows[1:]]
    self.window = Window(
      self._name,
      ended - started,
      (last['replay_inserted'] - first['replay_inserted']) * scale,
      (last['learner_steps'] - first['learner_steps']) * scale,
      sum(s * b for s, b in zip(spans, busy)) / sum(spans),
      last['samples_per_insert'],
      cpu,
      sent,
    )

  def _rows(self) -> list[dict[str, float]]:
    try:
      with open(os.path.join(self._folder, 'learner.jsonl')) as file:
        return [json.loads(line) for line in file if line.endswith('\n')]
    except FileNotFoundError:
      return []

  def _cpu_seconds(self) -> dict[str, float]:
    import psutil

    ids = files.read_json(os.path.join(self._folder, 'logs', 'processes.json')) or {}
    found: dict[str, float] = {}
    for name, pid in ids.items():
      times = psutil.Process(pid).cpu_times()
      label = name.partition('/')[0]
      found[label] = found.get(label, 0.0) + times.user + times.system
    return found


def _loopback_bytes() -> float:
  import psutil

  counters = psutil.net_io_counters(pernic=True).get('lo')
  return float(counters.bytes_sent) if counters else 0.0
