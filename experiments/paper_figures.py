"""The paper's figures, and the tables behind them, from whatever runs there are."""

import os
from collections.abc import Sequence

import numpy as np

from experiments import paper_data, paper_tables, plans, plotting
from experiments.evaluations import std_over_seeds
from experiments.paper_data import Curves, Scored
from experiments.paper_settings import (
  BASELINE,
  COEFFICIENTS,
  FIGURE_2,
  FIGURE_3,
  LEARNING_RATES,
  MUNCHAUSEN_TEMPERATURES,
  RESIDUAL_TEMPERATURES,
  SUITES,
  TEMPERATURES,
  Variant,
)

METRIC = 'mode_return_mean'
_SUCCESS = 'mode_success'
# Name, title, suite, variants: of normalised scores.
_SCORE_FIGURES = (
  ('figure2', 'Figure 2: SAC-normalised scores on Gym', 'gym', FIGURE_2),
  ('figure3', 'Figure 3: SAC-normalised scores on Adroit', 'adroit', FIGURE_3),
)
# Name, title, suite, variants, column of eval.csv: of returns, a panel for each task.
_CURVE_FIGURES = (
  ('figure4', 'Figure 4: temperature of IQ', 'gym', TEMPERATURES, METRIC),
  (
    'figure4_munchausen',
    "Figure 4's twin: temperature of M-IQ",
    'gym',
    MUNCHAUSEN_TEMPERATURES,
    METRIC,
  ),
  ('coefficient', 'Munchausen coefficient', 'gym', COEFFICIENTS, METRIC),
  (
    'trust_pcl_temperature',
    'Temperature of Trust-PCL',
    'gym',
    RESIDUAL_TEMPERATURES,
    METRIC,
  ),
  ('learning_rate', 'Learning rate of M-IQ', 'gym', LEARNING_RATES, METRIC),
  ('curves_gym', 'Returns on Gym', 'gym', FIGURE_2, METRIC),
  ('curves_adroit', 'Returns on Adroit', 'adroit', FIGURE_3, METRIC),
  ('success_adroit', 'Success rate on Adroit', 'adroit', FIGURE_3, _SUCCESS),
)
# A sweep is one where there is something to compare.
_FEWEST_LINES = 2
NAMES = tuple(figure[0] for figure in (*_SCORE_FIGURES, *_CURVE_FIGURES))


def draw_all(
  root: str,
  output: str,
  random_returns: dict[str, float],
  *,
  names: Sequence[str] = (),
  tasks: Sequence[str] = (),
  algorithm_names: Sequence[str] = (),
  last_step: int | None = None,
) -> list[str]:
  """Draws every figure that there are runs for.

  Args:
    root: the folder of all runs.
    output: the folder for pictures and tables.
    random_returns: of uniformly random actions, by task.
    names: the only figures to draw, of `NAMES`; all where empty.
    tasks: the only tasks; all where empty.
    algorithm_names: the only algorithms; all where empty.
    last_step: the budget: runs that have not reached it are left out. Where None, runs
      are taken as far as those beside them reach.

  Returns:
    What was drawn, and what was not and why, a line each.
  """
  lines = []
  for name, title, suite, variants, *metric in (*_SCORE_FIGURES, *_CURVE_FIGURES):
    if names and name not in names:
      continue
    kept = plans.select_variants(variants, algorithm_names)
    kept_tasks = plans.select_tasks(SUITES[suite], tasks)
    if not metric and BASELINE not in [v.algorithm for v in kept]:
      kept.append(Variant(BASELINE))  # What the scores are measured by.
    column = metric[0] if metric else METRIC
    curves = paper_data.load_all(root, kept_tasks, kept, column, last_step)
    stem = os.path.join(output, name)
    if metric:
      lines.append(_draw_curves(curves, stem, title, metric[0]))
    else:
      lines += _draw_scores(curves, stem, title, random_returns)
  return lines


def _draw_scores(
  curves: dict[tuple[str, str], Curves],
  stem: str,
  title: str,
  random_returns: dict[str, float],
) -> list[str]:
  """Draws all variants on the tasks that all have, and all tasks by those who do."""
  notes, tasks = [], []
  for task in dict.fromkeys(task for task, _ in curves):
    problem = _no_scale(task, curves, random_returns)
    if problem:
      notes.append(f'{task} is left out: {problem}.')
    else:
      tasks.append(task)
  labels = list(dict.fromkeys(label for task, label in curves if task in tasks))
  common = [t for t in tasks if all((t, label) in curves for label in labels)]
  everywhere = [label for label in labels if all((t, label) in curves for t in tasks)]
  selections = {stem: (common, labels), f'{stem}_all_tasks': (tasks, everywhere)}
  if common == tasks:
    del selections[f'{stem}_all_tasks']
  lines = [f'not drawn: {os.path.basename(stem)}: {note}' for note in notes]
  for path, (some_tasks, some_labels) in selections.items():
    name = os.path.basename(path)
    if len(some_labels) < _FEWEST_LINES or not some_tasks:
      lines.append(f'not drawn: {name}: no task with {BASELINE} and another algorithm')
      continue
    try:
      scored = paper_data.score_variants(
        curves, random_returns, some_tasks, some_labels
      )
    except ValueError as error:
      lines.append(f'not drawn: {name}: {error}')
      continue
    if path == stem and len(selections) == 1:
      paper_tables.remove(
        f'{stem}_all_tasks'
      )  # Which would say the same, but of before.
    rows = paper_tables.score_rows(scored)
    _plot_scores(scored, rows, f'{path}.png', title)
    paper_tables.write(_score_table(scored, rows, title, notes), path)
    lines.append(f'{path}.png, .csv, .md')
  return lines


def _no_scale(
  task: str, curves: dict[tuple[str, str], Curves], random_returns: dict[str, float]
) -> str | None:
  """Why a task's scores cannot be normalised, None where they can."""
  if task not in random_returns:
    return 'no random score (experiments/random_scores.py)'
  if (task, BASELINE) not in curves:
    return f'no run of {BASELINE}'
  # Where it is compared: at the last step that all have.
  step = paper_data.last_common_step([c for (t, _), c in curves.items() if t == task])
  last = curves[task, BASELINE].cut(step).values[:, -1].mean()
  if last <= random_returns[task]:
    return (
      f'{BASELINE} is at {last:,.1f} after {step:,} steps, no better than a random '
      f'policy ({random_returns[task]:,.1f})'
    )
  return None


def _score_table(
  scored: Scored, rows: list[paper_tables.Row], title: str, notes: Sequence[str]
) -> paper_tables.Table:
  scale = '; '.join(
    f'{task}: {low:,.1f} and {high:,.1f}'
    for task, (low, high) in scored.references.items()
  )
  return paper_tables.Table(
    title=f'{title}, {scored.steps[-1]:,} steps',
    rows=rows,
    summary=paper_tables.score_summary(scored, rows),
    notes=[
      f'Scores are 0 at a random policy and 100 at the last evaluation of {BASELINE}, '
      f'mean over its seeds. These returns are, {scale}.',
      'Mean and median are over tasks, of means over seeds. The interval is of a '
      'stratified bootstrap over seeds; one seed has none.',
      *notes,
    ],
    folders=scored.folders,
    tasks=scored.tasks,
    seeds={'every line': scored.seeds},
  )


def _plot_scores(
  scored: Scored, rows: list[paper_tables.Row], path: str, heading: str
) -> None:
  seeds = len(scored.seeds)
  figure = plotting.make_figure(columns=3, rows=1)
  panels = figure.subplots(1, 3)
  columns = (('mean', 'seed_std'), ('median', None), ('iqm', 'interval'))
  for axes, (column, band) in zip(panels, columns):
    for index, label in enumerate(scored.scores):
      own = [row for row in rows if row['variant'] == label]
      center = np.array([row[column] for row in own])
      if band == 'interval':
        low = np.array([row['iqm_low'] for row in own])
        high = np.array([row['iqm_high'] for row in own])
      else:
        spread = np.array([row[band] for row in own]) if band else np.zeros(len(own))
        low, high = center - spread, center + spread
      plotting.draw_line(axes, scored.steps, center, low, high, index, label)
    axes.axhline(100, color='0.6', linewidth=0.8, linestyle='--', zorder=0)
    caption = {'seed_std': 'band: std of seeds', 'interval': 'band: 95% interval'}
    title = {'mean': 'mean', 'median': 'median', 'iqm': 'interquartile mean'}[column]
    plotting.label_axes(axes, title, caption.get(band) if seeds > 1 else None, 'score')
  figure.suptitle(
    f'{heading} ({seeds} seed{"s" * (seeds > 1)}: '
    f'{", ".join(t.partition(":")[2] for t in scored.tasks)})'
  )
  plotting.save_figure(figure, path)


def _draw_curves(
  curves: dict[tuple[str, str], Curves], stem: str, title: str, metric: str
) -> str:
  name = os.path.basename(stem)
  tasks = [
    task
    for task in dict.fromkeys(task for task, _ in curves)
    if sum(other == task for other, _ in curves) >= _FEWEST_LINES
  ]
  if not tasks:
    return f'not drawn: {name}: no task with two lines to compare'
  kept = {key: one for key, one in curves.items() if key[0] in tasks}
  last = {
    task: paper_data.last_common_step([c for (t, _), c in kept.items() if t == task])
    for task in tasks
  }
  _plot_curves(kept, tasks, f'{stem}.png', title, metric)
  table = paper_tables.Table(
    title=title,
    rows=[r for key, one in kept.items() for r in paper_tables.curve_rows(*key, one)],
    summary=[
      paper_tables.curve_summary(*key, one.cut(last[key[0]]))
      for key, one in kept.items()
    ],
    notes=[
      f'Column {metric} of eval.csv, at the last step that all runs of a task have '
      'come to; ± is the standard deviation over seeds (of a sample). "mean over '
      'training" is over all evaluations but the one before training.',
    ],
    folders=tuple(folder for one in kept.values() for folder in one.folders),
    tasks=tuple(tasks),
    seeds={f'{task} {label}': one.seeds for (task, label), one in kept.items()},
  )
  paper_tables.write(table, stem)
  return f'{stem}.png, .csv, .md'


def _plot_curves(
  curves: dict[tuple[str, str], Curves],
  tasks: Sequence[str],
  path: str,
  title: str,
  metric: str,
) -> None:
  # A variant has one colour in all panels.
  labels = list(dict.fromkeys(label for _, label in curves))
  figure, panels = plotting.make_panels(len(tasks))
  for axes, task in zip(panels, tasks):
    for (other, label), one in curves.items():
      if other != task:
        continue
      center = one.values.mean(axis=0)
      spread = std_over_seeds(one.values)
      plotting.draw_line(
        axes,
        one.steps,
        center,
        center - spread,
        center + spread,
        labels.index(label),
        f'{label} ({len(one.seeds)} seed{"s" * (len(one.seeds) > 1)})',
      )
    spread_is_shown = any(len(c.seeds) > 1 for (t, _), c in curves.items() if t == task)
    band = 'band: std of seeds' if spread_is_shown else None
    plotting.label_axes(axes, task, band, metric.replace('_', ' '))
  figure.suptitle(title)
  plotting.save_figure(figure, path)
