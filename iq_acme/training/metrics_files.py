"""CSV files and TensorBoard events of a run, with the interface of Acme's loggers."""

import contextlib
import csv
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from iq_acme.storage import files

STEP_COLUMN = 'actor_steps'
_TAIL_BYTES = 4_000  # More than a row has.


class Logger(Protocol):
  """What Acme calls a logger."""

  def write(self, data: Mapping[str, Any]) -> None:
    """Writes one row of named values."""

  def close(self) -> None:
    """Releases the destination."""


class CsvFile:
  """Appends rows to a CSV file whose columns the first row of a process fixes.

  Opened at the first write, so that an existing file can be cut before. Each row
  reaches the operating system at once.
  """

  def __init__(self, path: str):
    self._path = path
    self._file: io.TextIOBase | None = None
    self._columns: list[str] = []

  def write(self, data: Mapping[str, Any]) -> None:
    """Appends a row.

    Args:
      data: values by column. A missing column is left empty.

    Raises:
      ValueError: if a column is not among those of the first row.
    """
    if self._file is None:
      self._open(list(data))
    unknown = [name for name in data if name not in self._columns]
    if unknown:
      raise ValueError(
        f'{self._path} has the columns {self._columns}, fixed by its first row; '
        f'a later row brings {unknown}.'
      )
    self._write_line([_cell(data.get(name)) for name in self._columns])

  def close(self) -> None:
    """Closes the file; a later write opens it again."""
    if self._file is not None:
      self._file.close()
      self._file = None

  def _open(self, columns: list[str]) -> None:
    existing = read_columns(self._path)
    if existing and (new := [name for name in columns if name not in existing]):
      _add_columns(self._path, new)  # A run goes on that an older version began.
      existing += new
    self._file = open(self._path, 'a', newline='')  # noqa: SIM115 (stays open)
    self._columns = existing or columns
    if not existing:
      self._write_line(self._columns)

  def _write_line(self, cells: Sequence[str]) -> None:
    assert self._file is not None
    line = io.StringIO()
    csv.writer(line, lineterminator='\n').writerow(cells)
    # One write of the whole line, so that a killed process leaves no part of it.
    self._file.write(line.getvalue())
    self._file.flush()


class MultiLogger:
  """Writes each row to several loggers, with the columns of a run before its own."""

  def __init__(
    self,
    loggers: Sequence[Logger],
    position: Callable[[], Mapping[str, Any]] = dict,
  ):
    """Initializes the logger.

    Args:
      loggers: where rows go.
      position: gives the columns that say where the run stands, for rows that do not
        say so themselves.
    """
    self._loggers = tuple(loggers)
    self._position = position

  def write(self, data: Mapping[str, Any]) -> None:
    """Writes one row to all."""
    row = {**self._position(), **data}
    for logger in self._loggers:
      logger.write(row)

  def close(self) -> None:
    """Closes all."""
    for logger in self._loggers:
      logger.close()


class TensorBoard:
  """Acme's TensorBoard logger, opened at the first write and given numbers only."""

  def __init__(self, folder: str, label: str):
    self._folder = folder
    self._label = label
    self._logger: Logger | None = None

  def write(self, data: Mapping[str, Any]) -> None:
    """Writes the row's numbers at its actor step."""
    if self._logger is None:
      # Late, because it loads TensorFlow.
      from acme.utils.loggers import tf_summary

      self._logger = tf_summary.TFSummaryLogger(
        self._folder, label=self._label, steps_key=STEP_COLUMN
      )
    self._logger.write(
      {k: v for k, v in data.items() if isinstance(v, (int, float, np.number))}
    )

  def close(self) -> None:
    """Writes out what is buffered."""
    if self._logger is not None:
      self._logger.close()
      self._logger = None


def mark_start(folder: str, step: int) -> None:
  """Tells TensorBoard to forget what it has read beyond `step`.

  TensorBoard takes the first mark for the start of a run and only later ones for a
  resume, so a new run is marked too.

  Args:
    folder: the folder of event files.
    step: the actor step from which a run goes on.
  """
  os.makedirs(folder, exist_ok=True)
  import tensorflow as tf
  from tensorflow.core.util import event_pb2

  now = time.time()
  # TensorBoard reads a folder's files in the order of their names.
  name = f'events.out.tfevents.{int(now):010d}.started.{os.getpid()}'
  start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
  with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
    for event in (
      event_pb2.Event(wall_time=now, file_version='brain.Event:2'),
      event_pb2.Event(wall_time=now, step=step + 1, session_log=start),
    ):
      writer.write(event.SerializeToString())


def read_columns(path: str) -> list[str]:
  """Returns the header of a CSV file, empty if there is none."""
  with contextlib.suppress(FileNotFoundError), open(path, newline='') as file:
    return next(csv.reader(file), [])
  return []


def read_rows(path: str) -> list[dict[str, float]]:
  """Returns the rows of a CSV file of numbers.

  Args:
    path: the file; a missing one has no rows.

  Returns:
    One dict a row, in order, with floats; an empty cell is NaN.
  """
  with contextlib.suppress(FileNotFoundError), open(path, newline='') as file:
    lines = [line for line in file if line.endswith('\n')]
    return [
      {name: float(cell) if cell else float('nan') for name, cell in row.items()}
      for row in csv.DictReader(lines)
    ]
  return []


def last_row(path: str) -> dict[str, float]:
  """Returns the last whole row, empty if there is none, without reading the others."""
  columns = read_columns(path)
  with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
    file.seek(max(0, os.path.getsize(path) - _TAIL_BYTES))
    whole = file.read().decode(errors='replace').rpartition('\n')[0]
    cells = whole.rpartition('\n')[2].split(',')
    if len(cells) == len(columns) and cells != columns:
      return {k: float(v) if v else float('nan') for k, v in zip(columns, cells)}
  return {}


def write_rows(
  path: str, rows: Sequence[Mapping[str, Any]], digits: int | None = None
) -> None:
  """Writes a table, whole or not at all.

  Args:
    path: the CSV file.
    rows: values by column; all with the same columns.
    digits: significant ones that floats are rounded to; None for all.
  """

  def cell(value: Any) -> Any:
    return f'{value:.{digits}g}' if digits and isinstance(value, float) else value

  with files.replacing(path) as temporary, open(temporary, 'w', newline='') as file:
    writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)


def _add_columns(path: str, names: Sequence[str]) -> None:
  """Widens a CSV file by columns that are empty so far."""
  with open(path, newline='') as file:
    header, *rows = [line.rstrip('\r\n') for line in file if line.endswith('\n')]
  lines = [','.join([header, *names]), *(row + ',' * len(names) for row in rows)]
  with files.replacing(path) as temporary, open(temporary, 'w', newline='') as file:
    file.writelines(f'{line}\n' for line in lines)


def cut_rows(path: str, last_step: int) -> int:
  """Drops the rows beyond an actor step, and an unfinished last line.

  Args:
    path: the CSV file; a missing one is left so.
    last_step: the largest `actor_steps` to keep.

  Returns:
    How many rows were dropped.
  """
  try:
    with open(path, newline='') as file:
      lines = file.readlines()
  except FileNotFoundError:
    return 0
  whole = [line for line in lines if line.endswith('\n')]
  kept = whole[:1]
  if kept:
    column = next(csv.reader(kept)).index(STEP_COLUMN)
    kept += [row for row in whole[1:] if _step(row, column) <= last_step]
  if len(kept) < len(lines):
    with files.replacing(path) as temporary, open(temporary, 'w', newline='') as file:
      file.writelines(kept)
  return len(lines) - len(kept)


def _step(line: str, column: int) -> float:
  return float(next(csv.reader([line]))[column])


def _cell(value: Any) -> str:
  if value is None:
    return ''
  if isinstance(value, (bool, np.bool_)):
    return str(int(value))
  if isinstance(value, (str, int, float)):
    return str(value)
  array = np.asarray(value)
  if array.size != 1:
    raise ValueError(f'A CSV cell holds one number, not an array of {array.shape}.')
  return str(array.item())
