"""CSV files of a run, with the interface of Acme's loggers."""

import contextlib
import csv
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from iq_acme.storage import files

STEP_COLUMN = 'actor_steps'
# What the steps of a run are: those of the environment, or offline SGD steps.
STEP_COLUMNS = (STEP_COLUMN, 'learner_steps')
_TAIL_BYTES = 4_000  # More than a row has.


def step_column(config: Mapping[str, Any]) -> str:
  """Returns which of `STEP_COLUMNS` a run counts; older `config.json` do not say."""
  return config.get('counted_steps') or STEP_COLUMN


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


def read_columns(path: str) -> list[str]:
  """Returns the header of a CSV file, empty if there is none."""
  return next(csv.reader(_lines(path)[:1]), [])


def read_rows(path: str, required: str | None = None) -> list[dict[str, float]]:
  """Returns the rows of a CSV file of numbers.

  Args:
    path: the file; a missing one has no rows.
    required: a column that it must have.

  Returns:
    One dict a row, in order, with floats; an empty cell is NaN.

  Raises:
    DamagedFileError: naming the line that is no row of numbers, or the column.
  """
  columns: list[str] = []
  rows = []
  for number, line in enumerate(_lines(path), start=1):
    if not line.endswith('\n'):  # Cut off, by a kill.
      break
    try:
      cells = next(csv.reader([line]))
      if number == 1:
        columns, row = cells, dict.fromkeys(cells, 0.0)
      else:
        values = [float(cell) if cell else math.nan for cell in cells]
        row = dict(zip(columns, values, strict=True))
        rows.append(row)
      if required is not None and not math.isfinite(row.get(required, math.nan)):
        raise ValueError(f'it has no {required}')
    except (csv.Error, ValueError) as error:
      raise files.DamagedFileError(
        f'{path}, line {number}, does not fit a table of numbers ({error}): mend that '
        'line, or move the file away.'
      ) from None
  return rows


def _lines(path: str) -> list[str]:
  """Returns the lines of a text file, none of a missing one."""
  try:
    with open(path, newline='', encoding='utf-8') as file:
      return file.readlines()
  except FileNotFoundError:
    return []
  except UnicodeDecodeError as error:
    raise files.DamagedFileError(
      f'{path} is not a CSV file ({error}): move it away.'
    ) from None


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


def cut_rows(path: str, last_step: float, column: str = STEP_COLUMN) -> int:
  """Drops the rows beyond a step, and an unfinished last line.

  Args:
    path: the CSV file; a missing one is left so.
    last_step: the largest step to keep.
    column: which steps.

  Returns:
    How many rows were dropped.
  """
  rows = read_rows(path, column)
  lines = _lines(path)
  whole = [line for line in lines if line.endswith('\n')]
  kept = whole[:1]
  kept += [line for line, row in zip(whole[1:], rows) if row[column] <= last_step]
  if len(kept) < len(lines):
    with files.replacing(path) as temporary, open(temporary, 'w', newline='') as file:
      file.writelines(kept)
  return len(lines) - len(kept)


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
