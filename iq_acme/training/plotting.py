"""Learning curves from the files of runs."""

import collections
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iq_acme.evaluation import POLICY_MODES
from iq_acme.storage import files
from iq_acme.training import metrics_files
from iq_acme.training.evaluations import read_evaluations, std_over_seeds
from iq_acme.training.run_directory import RunDirectory

if TYPE_CHECKING:  # Loading Matplotlib takes seconds, drawing happens rarely.
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for colour-blind readers.
_COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
# Of different lengths, so that no two of 140 lines look the same.
_LINE_STYLES = ('-', '--', ':', '-.')
_MARKERS = ('o', 's', '^', 'D', 'v')
_PANEL_HEIGHT = 4.8  # Inches, of a panel with a legend of so many rows.
_LEGEND_ROWS = 3
_LEGEND_ROW_HEIGHT = 0.2
_LEGEND_CHARACTERS = 75  # That fit beneath a panel, handles included.
_POLICY_LABELS = {'mode': 'mode policy', 'sampled': 'sampled policy'}


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


def plot_curve(run_dir: str) -> str | None:
  """Draws a run's evaluations to `curve.png` in its folder.

  Args:
    run_dir: the folder of a run.

  Returns:
    The picture's path, None where nothing has been evaluated yet.
  """
  directory = RunDirectory(run_dir)
  rows = metrics_files.read_rows(directory.evaluations)
  if not rows:
    return None
  config = files.read_json(directory.config)
  figure = make_figure(columns=1, rows=1)
  axes = figure.subplots()
  steps = _column(rows, 'actor_steps')
  for index, name in enumerate(POLICY_MODES):
    mean = _column(rows, f'{name}_return_mean')
    spread = _column(rows, f'{name}_return_std')
    _draw(axes, Curve(steps, mean, spread, _POLICY_LABELS[name]), index)
  title = f'{config["env_name"]} · {config["algorithm"]} · seed {config["seed"]}'
  label_axes(axes, title, f'band: std of {config["evaluation_episodes"]} episodes')
  save_figure(figure, directory.curve)
  return directory.curve


def plot_runs(
  run_dirs: Sequence[str], output: str, metric: str = 'mode_return_mean'
) -> None:
  """Draws several runs over each other: one panel per task, one line per setting.

  Runs that differ by nothing but their seed make one line: the mean over seeds at the
  steps that all of them have reached, with a band of one standard deviation.

  Args:
    run_dirs: folders of runs.
    output: the picture to write.
    metric: a column of `eval.csv`.

  Raises:
    ValueError: if no folder holds evaluations, or the column is missing.
  """
  groups = group_runs(run_dirs, metric)
  if not groups:
    raise ValueError(f'None of {list(run_dirs)} holds the evaluations of a run.')
  tasks = sorted({task for task, _ in groups})
  figure, panels = make_panels(len(tasks))
  for axes, task in zip(panels, tasks):
    lines = {label: runs for (name, label), runs in groups.items() if name == task}
    for index, (label, runs) in enumerate(sorted(lines.items())):
      curve = mean_over_seeds(runs, label)
      _draw(axes, curve, index)
    has_bands = any(len(runs) > 1 for runs in lines.values())
    band = 'band: std of seeds' if has_bands else None
    label_axes(axes, task, band, metric.replace('_', ' '))
  save_figure(figure, output)


def mean_over_seeds(runs: Sequence[Mapping[int, float]], label: str = '') -> Curve:
  """Averages runs at the steps that all of them have.

  Args:
    runs: one mapping from actor step to value for each seed.
    label: the curve's legend, to which the number of seeds is added.

  Returns:
    Their mean and standard deviation, over seeds, of a sample.

  Raises:
    ValueError: where they share no steps of training though each has some.
  """
  steps = sorted(set.intersection(*(set(run) for run in runs)))
  if all(len(run) > len(steps) for run in runs) and len(steps) < 2:
    raise ValueError(
      f'The runs of {label!r} share no evaluations but those at steps {steps}: were they '
      'run with the same --evaluation_period?'
    )
  values = np.array([[run[step] for step in steps] for run in runs])  # [seeds, T]
  count = f'{len(runs)} seed' + ('s' if len(runs) > 1 else '')
  mean, spread = values.mean(axis=0), std_over_seeds(values)
  return Curve(np.array(steps), mean, spread, f'{label} ({count})')


def group_runs(
  run_dirs: Sequence[str], metric: str
) -> dict[tuple[str, str], list[dict[int, float]]]:
  """Collects runs by task and by a label that tells their settings apart.

  Raises:
    ValueError: where two folders hold the same run.
  """
  found, folders = [], []
  for run_dir in run_dirs:
    if (run := read_evaluations(run_dir, metric)) is not None:
      found.append(run)
      folders.append(run_dir)
  varying = _varying_settings([config for config, _ in found])
  groups = collections.defaultdict(list)
  known: dict[tuple[str, str, int], str] = {}
  for folder, (config, run) in zip(folders, found):
    settings = _settings(config)
    task, algorithm = config['env_name'], config['algorithm']
    parts = [f'{name}={settings.get(name)}' for name in varying[task, algorithm]]
    label = ' '.join([algorithm, *parts])
    other = known.setdefault((task, label, config['seed']), folder)
    if other != folder:
      raise ValueError(
        f'{other} and {folder} are both {label} on {task} with seed {config["seed"]}: '
        'leave one out, for a mean over seeds.'
      )
    groups[task, label].append(run)
  return dict(groups)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
  return {
    **config.get('env_options', {}),
    **config.get('agent', {}),
    'distributed': config.get('distributed', False),
  }


def _varying_settings(
  configs: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, str], list[str]]:
  """Returns, for each task and algorithm, the settings in which its runs differ."""
  alike = collections.defaultdict(list)
  for config in configs:
    alike[config['env_name'], config['algorithm']].append(_settings(config))
  return {
    key: sorted(
      name
      for name in set().union(*several)
      if len({repr(settings.get(name)) for settings in several}) > 1
    )
    for key, several in alike.items()
  }


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


def label_axes(
  axes: 'Axes', title: str, band: str | None, metric: str = 'episode return'
) -> None:
  """Titles a panel of lines over environment steps, with a legend below it.

  Args:
    axes: the panel.
    title: above it.
    band: what the bands are, in the legend.
    metric: what the lines are.
  """
  from matplotlib.ticker import EngFormatter

  axes.set_title(title)
  axes.set_xlabel('environment steps')
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
  os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  with files.replacing(path) as temporary:
    figure.savefig(temporary)


def _draw(axes: 'Axes', curve: Curve, index: int) -> None:
  low, high = curve.mean - curve.spread, curve.mean + curve.spread
  draw_line(axes, curve.steps, curve.mean, low, high, index, curve.label)


def _column(rows: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
  return np.array([row[name] for row in rows])
