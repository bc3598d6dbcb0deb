"""Figures of normalised scores: which lines are comparable, and what is left out."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.paper import data, tables
from experiments.paper.data import Curves, Scored
from experiments.paper.settings import BASELINE, EVALUATION_EPISODES
from iq_acme.training import plotting
from iq_acme.training.evaluations import std_over_seeds

AllCurves = Mapping[tuple[str, str], Curves]  # By task and the variant's label.
# A baseline's lead over random actions, in standard errors, that makes a scale.
_FEWEST_ERRORS = 2.0
# Fewer scores than this, and a bootstrap interval is hardly more than their range.
_FEW_SCORES = 5
_FEWEST_LINES = 2
_ALL_TASKS = '_all_tasks'


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
  baseline, and those where the baseline is ahead of random actions by less than two
  standard errors at the step that is compared.

  Args:
    curves: returns.
    deviations: by task, the standard deviation over episodes of the baseline's
      evaluations.
    stem: path of the figure without an ending; that of all tasks, where it is another,
      has '_all_tasks' behind it.
    title: of the figure.
    order: all labels that there can be, for their colours.
    random_returns: of uniformly random actions, by task.
    is_whole: whether curves are all there are, so that a figure of before that would
      now be the same as another can go.

  Returns:
    What was drawn, and what was not and why, a line each.
  """
  notes, tasks = [], []
  for task in dict.fromkeys(task for task, _ in curves):
    if task not in random_returns:
      notes.append(
        f'{task} is left out: no random score (experiments/paper/random_scores.py).'
      )
    elif (task, BASELINE) not in curves:
      notes.append(f'{task} is left out: no run of {BASELINE}.')
    elif len(_labels(curves, task)) < _FEWEST_LINES:
      notes.append(f'{task} is left out: no run but of {BASELINE}.')
    else:
      tasks.append(task)
  scales = _Scales(curves, deviations, random_returns)
  most = _most_lines(curves, tasks, scales)
  everywhere = _all_tasks(curves, tasks, scales)
  figures = {stem: most}
  if everywhere.tasks and (everywhere.tasks, everywhere.labels) != (
    most.tasks,
    most.labels,
  ):
    figures[f'{stem}{_ALL_TASKS}'] = everywhere
  elif is_whole:
    tables.remove(f'{stem}{_ALL_TASKS}')  # It would say the same, but of before.
  lines = []
  for path, selection in figures.items():
    reasons = [*notes, *selection.notes]
    lines += [f'{os.path.basename(path)}: {note}' for note in reasons]
    if len(selection.labels) < _FEWEST_LINES or not selection.tasks:
      reason = f'no task with {BASELINE} and another algorithm'
      lines.append(tables.not_drawn(path, reason))
      continue
    try:
      scored = data.score_variants(
        curves, random_returns, selection.tasks, selection.labels
      )
    except ValueError as error:
      lines.append(tables.not_drawn(path, str(error)))
      continue
    rows = tables.score_rows(scored)
    _plot(scored, rows, f'{path}.png', title, order)
    table = _table(scored, rows, title, [*reasons, *_left_out(curves, scored)])
    tables.write(table, path)
    lines.append(f'{path}.png, .csv, .md')
  return lines


@dataclasses.dataclass(frozen=True)
class _Selection:
  """What a figure shows, and why tasks are not in it."""

  tasks: list[str]
  labels: list[str]
  notes: list[str]


@dataclasses.dataclass(frozen=True)
class _Scales:
  """Tells which tasks have a scale; see `draw` for its fields."""

  curves: AllCurves
  deviations: Mapping[str, Curves]
  random_returns: Mapping[str, float]

  def keep(self, tasks: Sequence[str], labels: Sequence[str]) -> _Selection:
    """The tasks that have a scale at the step at which all of them are compared."""
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
    """Why a task has no scale at a step, None where it has."""
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
  """The lines of the task that has most, and all tasks that have all of these."""
  left, notes = list(tasks), []
  while left:
    labels = max((_labels(curves, task) for task in left), key=len)
    common = [task for task in left if set(labels) <= set(_labels(curves, task))]
    selection = scales.keep(common, labels)
    if selection.tasks:
      return dataclasses.replace(selection, notes=notes + selection.notes)
    notes += selection.notes
    left = [task for task in left if task not in common]
  return _Selection([], [], notes)


def _all_tasks(curves: AllCurves, tasks: Sequence[str], scales: _Scales) -> _Selection:
  """All tasks, and the lines that all of them have."""
  labels = list(dict.fromkeys(one for task in tasks for one in _labels(curves, task)))
  return scales.keep(
    tasks, [one for one in labels if all((task, one) in curves for task in tasks)]
  )


def _labels(curves: AllCurves, task: str) -> list[str]:
  return [label for other, label in curves if other == task]


def _episodes_error(deviations: np.ndarray) -> float:
  """Standard error of a mean over seeds [seeds] that the episodes alone make."""
  variances = deviations**2 / (EVALUATION_EPISODES - 1)  # Theirs is of these episodes.
  return math.sqrt(variances.sum()) / len(deviations)


def _left_out(curves: AllCurves, scored: Scored) -> list[str]:
  """What there is, and is not shown, because not all lines have it."""
  lines, last_shown = [], int(scored.steps[-1])
  for task in dict.fromkeys(task for task, _ in curves):
    own = {label: one for (other, label), one in curves.items() if other == task}
    if task not in scored.tasks:
      continue
    shown = [one for label, one in own.items() if label in scored.scores]
    missing = [label for label in own if label not in scored.scores]
    seeds = sorted({s for one in shown for s in one.seeds} - set(scored.seeds))
    last = max(int(one.steps[-1]) for one in shown)
    parts = [f'{", ".join(missing)}'] if missing else []
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
  heading: str,
  order: Sequence[str],
) -> None:
  seeds = len(scored.seeds)
  figure = plotting.make_figure(columns=3, rows=1)
  panels = figure.subplots(1, 3)
  columns = (('mean', 'seed_std'), ('median', None), ('iqm', 'interval'))
  for axes, (column, band) in zip(panels, columns):
    for label in scored.scores:
      own = [row for row in rows if row['variant'] == label]
      center = np.array([row[column] for row in own])
      if band == 'interval':
        low = np.array([row['iqm_low'] for row in own])
        high = np.array([row['iqm_high'] for row in own])
      else:
        spread = np.array([row[band] for row in own]) if band else np.zeros(len(own))
        low, high = center - spread, center + spread
      index = order.index(label)
      plotting.draw_line(axes, scored.steps, center, low, high, index, label)
    axes.axhline(100, color='0.6', linewidth=0.8, linestyle='--', zorder=0)
    caption = {'seed_std': 'band: std of seeds', 'interval': 'band: bootstrap interval'}
    title = {'mean': 'mean', 'median': 'median', 'iqm': 'interquartile mean'}[column]
    plotting.label_axes(axes, title, caption.get(band) if seeds > 1 else None, 'score')
  figure.suptitle(
    f'{heading} ({int(scored.steps[-1]):,} steps, {seeds} seed{"s" * (seeds > 1)}: '
    f'{", ".join(t.partition(":")[2] for t in scored.tasks)})'
  )
  plotting.save_figure(figure, path)
