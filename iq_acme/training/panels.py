"""Panels of lines over environment steps, which look alike in all figures."""

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from iq_acme.storage import files
from iq_acme.training.evaluations import std_over_seeds

if TYPE_CHECKING:  # Loading Matplotlib takes seconds, drawing happens rarely.
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# What the steps of a run are called, by their column.
STEP_LABELS = {'actor_steps': 'environment steps', 'learner_steps': 'SGD steps'}
# Okabe and Ito's colours, which stay apart for colour-blind readers.
_COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
# Of different lengths, so that no two of 140 lines look the same.
_LINE_STYLES = ('-', '--', ':', '-.')
_MARKERS = ('o', 's', '^', 'D', 'v')
_PANEL_HEIGHT = 4.8  # Inches, of a panel with a legend of so many rows.
_LEGEND_ROWS = 3
_LEGEND_ROW_HEIGHT = 0.2
_LEGEND_CHARACTERS = 75  # That fit beneath a panel, handles included.


class Curve(NamedTuple):
  """One line with a band.

  Attributes:
    steps: actor steps [T].
    mean: [T].
    spread: half the height of the band [T].
    label: its legend.
  """

  steps: np.ndarray
  mean: np.ndarray
  spread: np.ndarray
  label: str

  @classmethod
  def of_seeds(cls, steps: np.ndarray, values: np.ndarray, label: str) -> 'Curve':
    """Makes the mean over seeds, with a band of their standard deviation.

    Args:
      steps: actor steps [T].
      values: a row for each seed [seeds, T].
      label: the legend, to which the number of seeds is added.
    """
    count = f'{len(values)} seed' + ('s' if len(values) > 1 else '')
    return cls(steps, values.mean(axis=0), std_over_seeds(values), f'{label} ({count})')


def make_figure(columns: int, rows: int) -> 'Figure':
  """Returns an empty figure with room for so many panels; needs no display."""
  # Without pyplot, which would choose a backend and keep the figure.
  from matplotlib.figure import Figure

  return Figure(
    figsize=(6.4 * columns, _PANEL_HEIGHT * rows), dpi=130, layout='constrained'
  )


def make_panels(count: int) -> tuple['Figure', list['Axes']]:
  """Returns a figure with so many panels, three a row."""
  columns = min(count, 3)
  rows = -(-count // columns)
  figure = make_figure(columns, rows)
  panels = np.ravel(figure.subplots(rows, columns))
  for unused in panels[count:]:
    unused.set_axis_off()
  return figure, list(panels[:count])


def draw_line(
  axes: 'Axes',
  steps: np.ndarray,
  center: np.ndarray,
  low: np.ndarray,
  high: np.ndarray,
  index: int,
  label: str,
) -> None:
  """Draws a line with a band.

  Args:
    axes: where.
    steps: actor steps [T].
    center: the line [T].
    low: the band's lower edge [T].
    high: its upper edge [T].
    index: which line it is, for its colour, its dashes and its marker.
    label: its legend.
  """
  cycle, color_index = divmod(index, len(_COLORS))
  color = _COLORS[color_index]
  # Later lines are thinner, so that one that lies on another leaves it to be seen.
  width = max(1.2, 2.6 - 0.35 * index)
  axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
  axes.plot(
    steps,
    center,
    color=color,
    label=label,
    linewidth=width,
    linestyle=_LINE_STYLES[cycle % len(_LINE_STYLES)],
    # A single point makes no line, and dashes alone are hard to tell apart.
    marker=_MARKERS[cycle % len(_MARKERS)] if cycle or len(steps) < 30 else None,
    markevery=max(1, len(steps) // 15) if cycle else None,
    markersize=2.0 * width,
  )


def draw_curve(axes: 'Axes', curve: Curve, index: int) -> None:
  """Draws a curve; see `draw_line`."""
  low, high = curve.mean - curve.spread, curve.mean + curve.spread
  draw_line(axes, curve.steps, curve.mean, low, high, index, curve.label)


def label_axes(
  axes: 'Axes',
  title: str,
  band: str | None,
  metric: str = 'episode return',
  steps: str = 'environment steps',
) -> None:
  """Titles a panel of lines over steps, with a legend below it.

  Args:
    axes: the panel.
    title: above it.
    band: what the bands are, in the legend.
    metric: what the lines are.
    steps: what they are over.
  """
  from matplotlib.ticker import EngFormatter

  axes.set_title(title)
  axes.set_xlabel(steps)
  axes.set_ylabel(metric)
  axes.xaxis.set_major_formatter(EngFormatter(sep=''))
  axes.set_xlim(left=0)
  axes.grid(alpha=0.25)
  axes.spines[['top', 'right']].set_visible(False)
  # Below the axes, where it can hide nothing.
  labels = axes.get_legend_handles_labels()[1]
  longest = max(map(len, labels), default=1)
  columns = max(1, min(len(labels), _LEGEND_CHARACTERS // (longest + 5)))
  more_rows = max(0, -(-len(labels) // columns) - _LEGEND_ROWS)
  # A long legend makes the figure taller, and not its panels smaller.
  height = _PANEL_HEIGHT + _LEGEND_ROW_HEIGHT * more_rows
  height *= axes.get_subplotspec().get_gridspec().nrows
  axes.figure.set_figheight(max(height, axes.figure.get_figheight()))
  axes.legend(
    loc='upper center',
    bbox_to_anchor=(0.5, -0.16),
    ncols=columns,
    frameon=False,
    fontsize='small',
    title=band,
    title_fontsize='small',
  )


def save_figure(figure: 'Figure', path: str) -> None:
  """Writes a figure, whole or not at all."""
  path = os.path.abspath(os.path.expanduser(path))
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with files.replacing(path) as temporary:
    figure.savefig(temporary)
