"""Figures of normalised scores: which lines are comparable, and what is left out."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.paper import data, tables
from experiments.paper.data import AllCurves, Curves, Scored
from experiments.paper.settings import BASELINE, EVALUATION_EPISODES
from iq_acme.training import panels
from iq_acme.training.evaluations import std_over_seeds

# A baseline's lead over random actions, in standard errors, that makes a scale.
_FEWEST_ERRORS = 2.0
# Fewer scores than this, and a bootstrap interval is hardly more than their range.
_FEW_SCORES = 5
_FEWEST_LINES = 2
_ALL_TASKS = '_all_tasks'
# Heading, column, what the band is.
_PANELS = (
  ('mean', 'mean', 'band: std of seeds'),
  ('median', 'median', None),
  ('interquartile mean', 'iqm', 'band: bootstrap interval'),
)


def draw(
  curves: AllCurves,
  deviations: Mapping[str, Curves],
  stem: str,
  title: str,
  order: Sequence[str],
  random_returns: Mapping[str, float],
  *,
  is_whole: bool,
) -> list[str]:
  """Draws the tasks that share the most lines, and all tasks by the lines of all.

  Tasks without a scale are left out: those without a random score or a run of the
  baseline, and those on which the baseline is ahead of random actions by less than two
  standard errors at the step that is compared.

  Args:
    curves: returns.
    deviations: by task, the standard deviation over episodes of the baseline's
      evaluations.
    stem: path of the figure without an ending; that of all tasks, if it is another,
      has '_all_tasks' behind it.
    title: of the figure.
    order: all labels that there can be, for their colours.
    random_returns: of uniformly random actions, by task.
    is_whole: whether curves are all there are, so that a figure of before that would
      now be the same as another can go.

  Returns:
    What was drawn, and what was not and why, a line each.
  """
  tasks, notes = _comparable(curves, random_returns)
  scales = _Scales(curves, deviations, random_returns)
  most = _most_lines(curves, tasks, scales)
  everywhere = _all_tasks(curves, tasks, scales)
  figures = {stem: most}
  if everywhere.tasks and not everywhere.shows_the_same(most):
    figures[f'{stem}{_ALL_TASKS}'] = everywhere
  elif is_whole:
    tables.remove(f'{stem}{_ALL_TASKS}')  # It would say the same, but of before.
  lines = []
  for path, selection in figures.items():
    reasons = [*notes, *selection.notes]
    lines += [f'{os.path.basename(path)}: {note}' for note in reasons]
    try:
      scored = selection.score(curves, random_returns)
    except ValueError as error:
      lines.append(tables.not_drawn(path, str(error)))
      continue
    rows = tables.score_rows(scored)
    _plot(scored, rows, f'{path}.png', title, order)
    table = _table(scored, rows, title, [*reasons, *_left_out(curves, scored)])
    tables.write(table, path)
    lines.append(f'{path}.png, .csv, .md')
  return lines


def _comparable(
  curves: AllCurves, random_returns: Mapping[str, float]
) -> tuple[list[str], list[str]]:
  """Returns the tasks with a line beside the baseline, and why others are left out."""
  tasks, notes = [], []
  for task, lines in data.by_task(curves).items():
    if task not in random_returns:
      reason = 'no random score (experiments/paper/random_scores.py)'
    elif BASELINE not in lines:
      reason = f'no run of {BASELINE}'
    elif len(lines) < _FEWEST_LINES:
      reason = f'no run but of {BASELINE}'
    else:
      tasks.append(task)
      continue
    notes.append(f'{task} is left out: {reason}.')
  return tasks, notes


@dataclasses.dataclass(frozen=True)
class _Selection:
  """What a figure shows, and why tasks are not in it."""

  tasks: list[str]
  labels: list[str]
  notes: list[str]

  def shows_the_same(self, other: '_Selection') -> bool:
    return (self.tasks, self.labels) == (other.tasks, other.labels)

  def score(self, curves: AllCurves, random_returns: Mapping[str, float]) -> Scored:
    if len(self.labels) < _FEWEST_LINES or not self.tasks:
      raise ValueError(f'no task with {BASELINE} and another algorithm')
    return data.score_variants(curves, random_returns, self.tasks, self.labels)


@dataclasses.dataclass(frozen=True)
class _Scales:
  """Tells which tasks have a scale; see `draw` for its fields."""

  curves: AllCurves
  deviations: Mapping[str, Curves]
  random_returns: Mapping[str, float]

  def keep(self, tasks: Sequence[str], labels: Sequence[str]) -> _Selection:
    """Selects the tasks that have a scale at the step at which all are compared."""
    notes: list[str] = []
    kept = list(tasks)
    while kept:
      used = [self.curves[task, label] for task in kept for label in labels]
      step = data.last_common_step(used)
      problems = {task: self._problem(task, step) for task in kept}
      if not any(problems.values()):
        break
      # Without them the others may be compared at a later step, with other noise.
      notes += [problem for problem in problems.values() if problem]
      kept = [task for task in kept if not problems[task]]
    return _Selection(kept, list(labels), notes)

  def _problem(self, task: str, step: int) -> str | None:
    """Says why a task has no scale at a step, None if it has."""
    cut = self.curves[task, BASELINE].cut(step)
    if not cut.steps.size:
      return None  # Nothing is shared, which `paper_data.score_variants` refuses.
    last, zero = cut.values[:, -1], self.random_returns[task]
    error = max(
      float(std_over_seeds(last)) / math.sqrt(len(last)),
      _episodes_error(self.deviations[task].cut(step).values[:, -1]),
    )
    if last.mean() - zero > _FEWEST_ERRORS * error:
      return None
    return (
      f'{task} is left out: {BASELINE} is at {last.mean():,.1f} after {step:,} steps, '
      f'with a standard error of {error:,.1f}, and a random policy at {zero:,.1f}.'
    )


def _most_lines(curves: AllCurves, tasks: Sequence[str], scales: _Scales) -> _Selection:
  """Selects the lines of the task that has most, and all tasks that have all of these."""
  lines = data.by_task(curves)
  left, notes = list(tasks), []
  while left:
    labels = max((list(lines[task]) for task in left), key=len)
    common = [task for task in left if set(labels) <= set(lines[task])]
    selection = scales.keep(common, labels)
    if selection.tasks:
      return dataclasses.replace(selection, notes=notes + selection.notes)
    notes += selection.notes
    left = [task for task in left if task not in common]
  return _Selection([], [], notes)


def _all_tasks(curves: AllCurves, tasks: Sequence[str], scales: _Scales) -> _Selection:
  """Selects all tasks, and the lines that all of them have."""
  labels = dict.fromkeys(label for task, label in curves if task in tasks)
  return scales.keep(
    tasks, [one for one in labels if all((task, one) in curves for task in tasks)]
  )


def _episodes_error(deviations: np.ndarray) -> float:
  """Returns the standard error of a mean over seeds [seeds] by the episodes alone."""
  variances = deviations**2 / (EVALUATION_EPISODES - 1)  # Theirs is of these episodes.
  return math.sqrt(variances.sum()) / len(deviations)


def _left_out(curves: AllCurves, scored: Scored) -> list[str]:
  """Returns what there is, and is not shown, because not all lines have it."""
  lines, last_shown = [], int(scored.steps[-1])
  for task, own in data.by_task(curves).items():
    if task not in scored.tasks:
      continue
    shown = [one for label, one in own.items() if label in scored.scores]
    missing = [label for label in own if label not in scored.scores]
    seeds = sorted({s for one in shown for s in one.seeds} - set(scored.seeds))
    last = max(int(one.steps[-1]) for one in shown)
    parts = [', '.join(missing)] if missing else []
    if seeds:
      parts.append(f'seed{"s" * (len(seeds) > 1)} {", ".join(map(str, seeds))}')
    if last > last_shown:
      parts.append(f'steps up to {last:,}')
    if parts:
      lines.append(f'{task}: {"; ".join(parts)}')
  return [f'There is more, which not all lines have. {line}.' for line in lines]


def _table(
  scored: Scored, rows: list[tables.Row], title: str, notes: Sequence[str]
) -> tables.Table:
  step = int(scored.steps[-1])
  scale = '; '.join(
    f'{task}: {low:,.1f} and {high:,.1f}'
    for task, (low, high) in scored.references.items()
  )
  return tables.Table(
    title=f'{title}, {step:,} steps',
    rows=rows,
    summary=tables.score_summary(scored, rows),
    notes=[
      f'Scores are 0 at a random policy and 100 at {BASELINE} after {step:,} steps, the '
      f'mean over all of its seeds. These returns are, {scale}.',
      'Mean and median are over tasks, of means over seeds. The interval is the 95% one '
      'of a stratified bootstrap over seeds; one seed has none.',
      *_interval_note(scored),
      *notes,
    ],
    folders=scored.folders,
    tasks=scored.tasks,
    seeds={'every line': scored.seeds},
  )


def _interval_note(scored: Scored) -> list[str]:
  seeds, tasks = len(scored.seeds), len(scored.tasks)
  if seeds == 1 or seeds * tasks >= _FEW_SCORES:
    return []
  return [
    f'Of so few scores ({seeds * tasks}) it is about their range, and too narrow: were '
    'they normally distributed, that of two would hold the true mean in 50% of all '
    'cases, that of three in 75%.'
  ]


def _plot(
  scored: Scored,
  rows: list[tables.Row],
  path: str,
  title: str,
  order: Sequence[str],
) -> None:
  seeds = len(scored.seeds)
  figure = panels.make_figure(columns=3, rows=1)
  for axes, (heading, column, band) in zip(figure.subplots(1, 3), _PANELS):
    for label in scored.scores:
      own = [row for row in rows if row['variant'] == label]
      center, spread, low, high = (
        np.array([row[name] for row in own])
        for name in (column, 'seed_std', 'iqm_low', 'iqm_high')
      )
      low, high = {
        'mean': (center - spread, center + spread),
        'median': (center, center),
        'iqm': (low, high),
      }[column]
      panels.draw_line(axes, scored.steps, center, low, high, order.index(label), label)
    axes.axhline(100, color='0.6', linewidth=0.8, linestyle='--', zorder=0)
    panels.label_axes(axes, heading, band if seeds > 1 else None, 'score')
  figure.suptitle(
    f'{title} ({int(scored.steps[-1]):,} steps, {seeds} seed{"s" * (seeds > 1)}: '
    f'{", ".join(t.partition(":")[2] for t in scored.tasks)})'
  )
  panels.save_figure(figure, path)
