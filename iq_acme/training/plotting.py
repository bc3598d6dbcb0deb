"""Learning curves from the files of runs."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iq_acme.config import IQConfig
from iq_acme.evaluation import POLICY_MODES
from iq_acme.training import metrics_files, panels
from iq_acme.training.evaluations import Evaluations, read_evaluations
from iq_acme.training.panels import Curve
from iq_acme.training.run_directory import RunDirectory

_POLICY_LABELS = {'mode': 'mode policy', 'sampled': 'sampled policy'}


def plot_curve(run_dir: str) -> str | None:
  """Draws a run's evaluations to `curve.png` in its folder.

  Args:
    run_dir: the folder of a run.

  Returns:
    The picture's path, None if nothing has been evaluated yet.
  """
  directory = RunDirectory(run_dir)
  rows = metrics_files.read_rows(directory.evaluations)
  if not rows:
    return None
  config = directory.read_config()
  figure = panels.make_figure(columns=1, rows=1)
  axes = figure.subplots()
  steps = _column(rows, directory.step_column)
  for index, name in enumerate(POLICY_MODES):
    mean = _column(rows, f'{name}_return_mean')
    spread = _column(rows, f'{name}_return_std')
    panels.draw_curve(axes, Curve(steps, mean, spread, _POLICY_LABELS[name]), index)
  title = f'{config["env_name"]} · {config["algorithm"]} · seed {config["seed"]}'
  panels.label_axes(
    axes,
    title,
    f'band: std of {config["evaluation_episodes"]} episodes',
    steps=panels.STEP_LABELS[directory.step_column],
  )
  panels.save_figure(figure, directory.curve)
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
    ValueError: if no folder holds evaluations, the column is missing, or of the runs
      some are offline and others not.
  """
  found = read_runs(run_dirs, metric)
  groups = group_runs(found)
  if not groups:
    raise ValueError(f'None of {list(run_dirs)} holds the evaluations of a run.')
  step_column = _shared_step_column(found)
  tasks = sorted({task for task, _ in groups})
  figure, all_axes = panels.make_panels(len(tasks))
  for axes, task in zip(all_axes, tasks):
    lines = {label: runs for (name, label), runs in groups.items() if name == task}
    for index, (label, runs) in enumerate(sorted(lines.items())):
      panels.draw_curve(axes, mean_over_seeds(runs, label), index)
    has_bands = any(len(runs) > 1 for runs in lines.values())
    band = 'band: std of seeds' if has_bands else None
    panels.label_axes(
      axes, task, band, metric.replace('_', ' '), panels.STEP_LABELS[step_column]
    )
  panels.save_figure(figure, output)


def _shared_step_column(found: Sequence[tuple[str, Evaluations]]) -> str:
  """Returns what the steps of all runs are.

  Raises:
    ValueError: if some count SGD steps and others environment steps.
  """
  folders = {metrics_files.step_column(run.config): folder for folder, run in found}
  if len(folders) > 1:
    raise ValueError(
      f'{folders["learner_steps"]} is an offline run, over SGD steps, and '
      f'{folders["actor_steps"]} is over environment steps: draw them apart.'
    )
  return next(iter(folders))


def mean_over_seeds(runs: Sequence[Mapping[int, float]], label: str = '') -> Curve:
  """Averages runs at the steps that all of them have.

  Args:
    runs: one mapping from actor step to value for each seed.
    label: the curve's legend, to which the number of seeds is added.

  Returns:
    Their mean and standard deviation, over seeds, of a sample.

  Raises:
    ValueError: if they share no steps of training though each has some.
  """
  steps = sorted(set.intersection(*(set(run) for run in runs)))
  if all(len(run) > len(steps) for run in runs) and len(steps) < 2:
    raise ValueError(
      f'The runs of {label!r} share no evaluations but those at steps {steps}: were they '
      'run with the same --evaluation_period?'
    )
  values = np.array([[run[step] for step in steps] for run in runs])  # [seeds, T]
  return Curve.of_seeds(np.array(steps), values, label)


def read_runs(run_dirs: Sequence[str], metric: str) -> list[tuple[str, Evaluations]]:
  """Reads the evaluations of those folders that hold some, each with its folder."""
  found = [(folder, read_evaluations(folder, metric)) for folder in run_dirs]
  return [(folder, run) for folder, run in found if run is not None]


def group_runs(
  found: Sequence[tuple[str, Evaluations]],
) -> dict[tuple[str, str], list[dict[int, float]]]:
  """Collects runs by task and by a label that tells their settings apart.

  Args:
    found: what `read_runs` returns.

  Raises:
    ValueError: if two folders hold the same run.
  """
  varying = _varying_settings([run.config for _, run in found])
  groups = collections.defaultdict(list)
  known: dict[tuple[str, str, int], str] = {}
  for folder, (config, run) in found:
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
  """Returns what a run may differ by from others of its task and algorithm."""
  return {
    # What stood for fields that the folder of an older run does not name.
    **{field.name: field.default for field in dataclasses.fields(IQConfig)},
    **config.get('env_options', {}),
    **config.get('agent', {}),
    'distributed': config.get('distributed', False),
    'engine': config.get('engine', 'agent'),
    'demonstrations': config.get('demonstrations', {}).get('name'),
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


def _column(rows: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
  return np.array([row[name] for row in rows])
