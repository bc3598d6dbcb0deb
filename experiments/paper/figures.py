"""The paper's figures, and the tables behind them, from whatever runs there are."""

import os
from collections.abc import Sequence

from experiments.paper import data, plans, score_figures, tables
from experiments.paper.data import Curves
from experiments.paper.settings import (
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
from iq_acme.training import plotting
from iq_acme.training.evaluations import std_over_seeds

METRIC = 'mode_return_mean'
_DEVIATION = 'mode_return_std'
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
    curves = data.load_all(root, kept_tasks, kept, column, last_step)
    stem = os.path.join(output, name)
    order = [variant.label for variant in variants]
    if metric:
      if any(variant.overrides for variant in variants):
        curves = {
          (task, label): one
          for (task, label), one in curves.items()
          if data.is_swept(curves, task, variants)
        }
      lines.append(_draw_curves(curves, stem, title, order, metric[0]))
    else:
      deviations = data.load_all(
        root, kept_tasks, [Variant(BASELINE)], _DEVIATION, last_step
      )
      lines += score_figures.draw(
        curves,
        {task: one for (task, _), one in deviations.items()},
        stem,
        title,
        order,
        random_returns,
        is_whole=not tasks and not algorithm_names and last_step is None,
      )
  return lines


def _draw_curves(
  curves: dict[tuple[str, str], Curves],
  stem: str,
  title: str,
  order: Sequence[str],
  metric: str,
) -> str:
  tasks = [
    task
    for task in dict.fromkeys(task for task, _ in curves)
    if sum(other == task for other, _ in curves) >= _FEWEST_LINES
  ]
  if not tasks:
    return tables.not_drawn(stem, 'no task with two lines to compare')
  kept = {key: one for key, one in curves.items() if key[0] in tasks}
  last = {
    task: data.last_common_step([c for (t, _), c in kept.items() if t == task])
    for task in tasks
  }
  _plot_curves(kept, tasks, f'{stem}.png', title, order, metric)
  table = tables.Table(
    title=title,
    rows=[r for key, one in kept.items() for r in tables.curve_rows(*key, one)],
    summary=[
      tables.curve_summary(*key, one.cut(last[key[0]])) for key, one in kept.items()
    ],
    notes=[
      f'Column {metric} of eval.csv, at the last step that all runs of a task have '
      'come to; ± is the standard deviation over seeds (of a sample). "mean over '
      'training" is over all evaluations but the one before training.',
      *data.left_out_notes(kept),
    ],
    folders=tuple(folder for one in kept.values() for folder in one.folders),
    tasks=tuple(tasks),
    seeds={f'{task} {label}': one.seeds for (task, label), one in kept.items()},
  )
  tables.write(table, stem)
  return f'{stem}.png, .csv, .md'


def _plot_curves(
  curves: dict[tuple[str, str], Curves],
  tasks: Sequence[str],
  path: str,
  title: str,
  order: Sequence[str],
  metric: str,
) -> None:
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
        order.index(label),
        f'{label} ({len(one.seeds)} seed{"s" * (len(one.seeds) > 1)})',
      )
    spread_is_shown = any(len(c.seeds) > 1 for (t, _), c in curves.items() if t == task)
    band = 'band: std of seeds' if spread_is_shown else None
    plotting.label_axes(axes, task, band, metric.replace('_', ' '))
    if metric == _SUCCESS:
      axes.set_ylim(-0.05, 1.05)
  figure.suptitle(title)
  plotting.save_figure(figure, path)
