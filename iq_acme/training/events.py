"""TensorBoard events of a run, written without TensorFlow."""

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from iq_acme.training.metrics_files import STEP_COLUMN


class TensorBoard:
  """Writes the numbers of rows as TensorBoard's scalars; needs no TensorFlow."""

  def __init__(self, folder: str, label: str, step_column: str = STEP_COLUMN):
    """Initializes the logger; its file is opened at the first write.

    Args:
      folder: the folder of event files.
      label: stands before the names of all scalars.
      step_column: what the run's steps are.
    """
    self._step_column = step_column
    self._folder = folder
    self._label = label
    self._events: Any = None

  def write(self, data: Mapping[str, Any]) -> None:
    """Writes the row's numbers at its step."""
    from tensorboard.compat.proto import summary_pb2

    if self._events is None:
      self._events = _open_events(self._folder, self._label)
    values = [
      summary_pb2.Summary.Value(
        tag=f'{self._label}/{_tag(name)}', simple_value=float(value)
      )
      for name, value in data.items()
      if name != self._step_column and isinstance(value, (int, float, np.number))
    ]
    step = data[self._step_column]
    _write_event(self._events, step=step, summary=summary_pb2.Summary(value=values))

  def close(self) -> None:
    """Closes the file; a later write opens another."""
    if self._events is not None:
      self._events.close()
      self._events = None


def mark_start(folder: str, step: int) -> None:
  """Tells TensorBoard to forget what it has read beyond `step`.

  TensorBoard takes the first mark for the start of a run and only later ones for a
  resume, so a new run is marked too.

  Args:
    folder: the folder of event files.
    step: the run's step from which a run goes on.
  """
  from tensorboard.compat.proto import event_pb2

  start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
  with contextlib.closing(_open_events(folder, 'a_start')) as events:
    _write_event(events, step=step + 1, session_log=start)


def _open_events(folder: str, label: str) -> Any:
  """Begins a file of events."""
  # Late, for runs without TensorBoard do not need it.
  from tensorboard.summary.writer import record_writer

  os.makedirs(folder, exist_ok=True)
  # TensorBoard reads a folder's files in the order of their names, so those of one
  # second are in the order of their labels.
  name = f'events.out.tfevents.{int(time.time()):010d}.{label}.{os.getpid()}'
  file = open(os.path.join(folder, name), 'ab')  # noqa: SIM115 (stays open)
  events = record_writer.RecordWriter(file)
  _write_event(events, file_version='brain.Event:2')
  return events


def _write_event(events: Any, **content: Any) -> None:
  from tensorboard.compat.proto import event_pb2

  event = event_pb2.Event(wall_time=time.time(), **content)
  events.write(event.SerializeToString())
  events.flush()


def _tag(name: str) -> str:
  """Returns a metric's name as Acme writes it: 'LossMean' for 'loss_mean'."""
  return name.title().replace('_', '')
