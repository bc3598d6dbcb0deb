"""The table behind each figure, as CSV for programs and Markdown for people."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.paper import data, scores
from iq_acme.storage import files
from iq_acme.training import metrics_files, versions
from iq_acme.training.evaluations import std_over_seeds
from iq_acme.training.run_directory import RunDirectory

Row = dict[str, Any]

_AGGREGATES = {
  'mean': scores.mean,
  'median': scores.median,
  'iqm': scores.interquartile_mean,
}


@dataclasses.dataclass(frozen=True)
class Table:
  """What a figure shows, in numbers.

  Attributes:
    title: the heading of the Markdown file.
    rows: every point of every line; all with the same keys.
    summary: the rows that the Markdown file shows.
    notes: sentences for the Markdown file.
    folders: of the runs behind it.
    tasks: environment ids.
    seeds: by what they are the seeds of.
    has_picture: whether a figure of the same name lies beside it.
  """

  title: str
  rows: list[Row]
  summary: list[Row]
  notes: list[str]
  folders: tuple[str, ...]
  tasks: tuple[str, ...]
  seeds: Mapping[str, Sequence[int]]
  has_picture: bool = True

  @classmethod
  def of_curves(
    cls,
    title: str,
    rows: list[Row],
    summary: list[Row],
    notes: Sequence[str],
    curves: data.AllCurves,
    has_picture: bool = True,
  ) -> 'Table':
    """Makes the table of some curves, which says what was left out of them."""
    return cls(
      title,
      rows,
      summary,
      [*notes, *data.left_out_notes(curves)],
      tuple(folder for one in curves.values() for folder in one.folders),
      tuple(data.by_task(curves)),
      {f'{task} {label}': one.seeds for (task, label), one in curves.items()},
      has_picture,
    )


def score_rows(scored: data.Scored) -> list[Row]:
  """Aggregates each variant at each step, with 95% intervals of the IQM."""
  rows = []
  for label, values in scored.scores.items():
    for t, step in enumerate(scored.steps):
      now = values[:, :, t]  # [seeds, tasks]
      low, high = scores.bootstrap_interval(now, scores.interquartile_mean)
      rows.append(
        {
          'variant': label,
          'step': int(step),
          **{name: float(f(now)) for name, f in _AGGREGATES.items()},
          'iqm_low': low,
          'iqm_high': high,
          'seed_std': scores.seed_std(now),
          'seeds': len(scored.seeds),
          'tasks': ' '.join(scored.tasks),
        }
      )
  return rows


def curve_rows(task: str, label: str, curves: data.Curves) -> list[Row]:
  """Returns mean and standard deviation over seeds at each step, of a sample."""
  spread = std_over_seeds(curves.values)
  return [
    {
      'task': task,
      'variant': label,
      'step': int(step),
      'mean': float(mean),
      'std': float(std),
      'seeds': len(curves.seeds),
    }
    for step, mean, std in zip(curves.steps, curves.values.mean(axis=0), spread)
  ]


def curve_summary(task: str, label: str, curves: data.Curves) -> Row:
  """Returns the last evaluation, and the mean of all after the first: more robust."""
  last = curves.values[:, -1]
  is_rate = bool(np.nanmax(np.abs(curves.values)) <= 1)  # Such as of success.
  digits = 2 if is_rate else 1
  return {
    'task': task,
    'variant': label,
    'steps': f'{int(curves.steps[-1]):,}',
    'last': over_seeds(last, digits),
    'mean over training': over_seeds(data.over_training(curves), digits),
    'best evaluation': f'{np.nanmax(curves.values.mean(axis=0)):,.{digits}f}',
    'by seed, last': ', '.join(f'{v:.2f}' if is_rate else f'{v:,.0f}' for v in last),
    'seeds': len(curves.seeds),
  }


def score_summary(scored: data.Scored, rows: Sequence[Row]) -> list[Row]:
  """Returns the last step of each variant's scores."""
  return [
    {
      'variant': row['variant'],
      'mean': f'{row["mean"]:.1f}',
      'std over seeds': f'{row["seed_std"]:.1f}' if row['seeds'] > 1 else '',
      'median': f'{row["median"]:.1f}',
      'IQM [bootstrap interval]': f'{row["iqm"]:.1f}'
      + (f' [{row["iqm_low"]:.1f}, {row["iqm_high"]:.1f}]' if row['seeds'] > 1 else ''),
    }
    for row in rows
    if row['step'] == scored.steps[-1]
  ]


def write(table: Table, stem: str) -> None:
  """Writes `<stem>.csv` with all rows and `<stem>.md` with the summary.

  Args:
    table: what to write.
    stem: path without an ending.
  """
  os.makedirs(os.path.dirname(os.path.abspath(stem)), exist_ok=True)
  metrics_files.write_rows(f'{stem}.csv', table.rows)
  with files.replacing(f'{stem}.md') as path, open(path, 'w') as file:
    file.write(_markdown(table, os.path.basename(stem)))


def not_drawn(stem: str, reason: str) -> str:
  """Returns a line that says so, and if files of an earlier time are still there."""
  there = [e for e in ('png', 'csv', 'md') if os.path.exists(f'{stem}.{e}')]
  earlier = f' ({", ".join(there)} of an earlier time are still there)' if there else ''
  return f'not drawn: {os.path.basename(stem)}: {reason}{earlier}'


def remove(stem: str) -> None:
  """Removes a figure and its table, if they are there."""
  for ending in ('csv', 'md', 'png'):
    with contextlib.suppress(FileNotFoundError):
      os.remove(f'{stem}.{ending}')


def markdown_rows(rows: Sequence[Row]) -> str:
  """Returns a Markdown table of rows with the same keys."""
  columns = list(rows[0])
  lines = [columns, ['---'] * len(columns)]
  lines += [[str(row[column]) for column in columns] for row in rows]
  return ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines)


def over_seeds(values: np.ndarray, digits: int = 1) -> str:
  """Shows the mean and, if there are several seeds, their standard deviation."""
  if len(values) == 1:
    return f'{values[0]:,.{digits}f}'
  return f'{values.mean():,.{digits}f} ± {std_over_seeds(values):,.{digits}f}'


def _markdown(table: Table, name: str) -> str:
  notes = '\n'.join(
    f'- {note}' for note in [*table.notes, *_engine_notes(table.folders)]
  )
  made_with = '\n'.join(
    f'- {what}: {", ".join(values)}'
    for what, values in data.provenance(table.folders).items()
  )
  seeds = '; '.join(
    f'{what}: {", ".join(map(str, values))}' for what, values in table.seeds.items()
  )
  picture = f'![{name}]({name}.png)\n\n' if table.has_picture else ''
  return (
    f'# {table.title}\n\n{picture}{markdown_rows(table.summary)}\n'
    f'{notes}\n\nEvery point is in [{name}.csv]({name}.csv).\n\n'
    f'- command: `{versions.command_line()}`\n'
    f'- environments: {", ".join(table.tasks)}\n'
    f'- seeds: {seeds}\n{made_with}\n'
  )


def _engine_notes(folders: Sequence[str]) -> list[str]:
  """Returns a sentence if some of these runs were members of populations, not all."""
  members: dict[str, list[str]] = {}
  for folder in sorted(folders):
    config = RunDirectory(folder).read_config() or {}
    if config.get('engine') == 'population':
      parts = os.path.normpath(folder).split(os.sep)
      members.setdefault('/'.join(parts[-3:-1]), []).append(parts[-1])
  count = sum(map(len, members.values()))
  if count in (0, len(folders)):
    return []
  listed = '; '.join(f'{name}: {", ".join(seeds)}' for name, seeds in members.items())
  return [
    f'{count} of {len(folders)} runs were members of populations '
    f'(docs/population.md), the others single runs: {listed}.'
  ]
