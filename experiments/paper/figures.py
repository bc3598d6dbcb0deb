"""The paper's figures, and the tables behind them, from whatever runs there are."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.paper import data, score_figures, tables
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
from iq_acme.training import panels
from iq_acme.training.panels import Curve

_DEVIATION = 'mode_return_std'
_SUCCESS = 'mode_success'
_FEWEST_LINES = 2


class Figure(NamedTuple):
  """A figure of the paper, or one like it.

  Attributes:
    name: of its files.
    title: above it.
    suite: of `SUITES`.
    variants: its lines.
    metric: the column of `eval.csv` that has a panel for each task; None for
      normalised scores of all tasks.
  """

  name: str
  title: str
  suite: str
  variants: Sequence[Variant]
  metric: str | None = data.METRIC


FIGURES = (
  Figure('figure2', 'Figure 2: SAC-normalised scores on Gym', 'gym', FIGURE_2, None),
  Figure(
    'figure3', 'Figure 3: SAC-normalised scores on Adroit', 'adroit', FIGURE_3, None
  ),
  Figure('figure4', 'Figure 4: temperature of IQ', 'gym', TEMPERATURES),
  Figure(
    'figure4_munchausen',
    "Figure 4's twin: temperature of M-IQ",
    'gym',
    MUNCHAUSEN_TEMPERATURES,
  ),
  Figure('coefficient', 'Munchausen coefficient', 'gym', COEFFICIENTS),
  Figure(
    'trust_pcl_temperature', 'Temperature of Trust-PCL', 'gym', RESIDUAL_TEMPERATURES
  ),
  Figure('learning_rate', 'Learning rate of M-IQ', 'gym', LEARNING_RATES),
  Figure('curves_gym', 'Returns on Gym', 'gym', FIGURE_2),
  Figure('curves_adroit', 'Returns on Adroit', 'adroit', FIGURE_3),
  Figure('success_adroit', 'Success rate on Adroit', 'adroit', FIGURE_3, _SUCCESS),
)
NAMES = tuple(figure.name for figure in FIGURES)


def draw_all(
  source: data.Source,
  output: str,
  random_returns: Mapping[str, float],
  names: Sequence[str] = (),
) -> list[str]:
  """Draws every figure that there are runs for.

  Args:
    source: the runs.
    output: the folder for pictures and tables.
    random_returns: of uniformly random actions, by task.
    names: the only figures to draw, of `NAMES`; all if empty.

  Returns:
    What was drawn, and what was not and why, a line each.
  """
  lines = []
  for figure in FIGURES:
    if names and figure.name not in names:
      continue
    stem, tasks = os.path.join(output, figure.name), SUITES[figure.suite]
    if figure.metric is not None:
      curves = source.load(tasks, figure.variants, figure.metric)
      lines.append(_draw_curves(curves, figure, stem))
      continue
    baseline = source.load(tasks, [Variant(BASELINE)], _DEVIATION, [BASELINE])
    lines += score_figures.draw(
      source.load(tasks, figure.variants, always=[BASELINE]),
      {task: one for (task, _), one in baseline.items()},
      stem,
      figure.title,
      [variant.label for variant in figure.variants],
      random_returns,
      is_whole=source.is_whole,
    )
  return lines


def _draw_curves(curves: data.AllCurves, figure: Figure, stem: str) -> str:
  is_sweep = any(variant.overrides for variant in figure.variants)
  tasks = {
    task: lines
    for task, lines in data.by_task(curves).items()
    if len(lines) >= _FEWEST_LINES
    and (not is_sweep or data.is_swept(curves, task, figure.variants))
  }
  if not tasks:
    return tables.not_drawn(stem, 'no task with two lines to compare')
  last = {task: data.last_common_step(lines.values()) for task, lines in tasks.items()}
  _plot_curves(tasks, figure, f'{stem}.png')
  kept = {key: one for key, one in curves.items() if key[0] in tasks}
  note = (
    f'Column {figure.metric} of eval.csv, at the last step that all runs of a task have '
    'come to; ± is the standard deviation over seeds (of a sample). "mean over '
    'training" is over all evaluations but the one before training.'
  )
  tables.write(
    tables.Table.of_curves(
      figure.title,
      [row for key, one in kept.items() for row in tables.curve_rows(*key, one)],
      [tables.curve_summary(*key, one.cut(last[key[0]])) for key, one in kept.items()],
      [note],
      kept,
    ),
    stem,
  )
  return f'{stem}.png, .csv, .md'


def _plot_curves(
  tasks: Mapping[str, Mapping[str, data.Curves]], figure: Figure, path: str
) -> None:
  order = [variant.label for variant in figure.variants]
  picture, all_axes = panels.make_panels(len(tasks))
  for axes, (task, lines) in zip(all_axes, tasks.items()):
    for label, one in lines.items():
      curve = Curve.of_seeds(one.steps, one.values, label)
      panels.draw_curve(axes, curve, order.index(label))
    has_bands = any(len(one.seeds) > 1 for one in lines.values())
    band = 'band: std of seeds' if has_bands else None
    panels.label_axes(axes, task, band, figure.metric.replace('_', ' '))
    if figure.metric == _SUCCESS:
      axes.set_ylim(-0.05, 1.05)
  picture.suptitle(figure.title)
  panels.save_figure(picture, path)
