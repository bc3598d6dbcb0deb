"""A run's evaluations, and their mean and spread over seeds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from iq_acme.storage import files
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory


class Evaluations(NamedTuple):
  """What a run's evaluations found.

  Attributes:
    config: the run's `config.json`.
    values: one column of `eval.csv`, by the run's step.
  """

  config: dict[str, Any]
  values: dict[int, float]


def read_evaluations(folder: str, metric: str) -> Evaluations | None:
  """Reads one column of a run's evaluations.

  Args:
    folder: the run's.
    metric: a column of `eval.csv`.

  Returns:
    The evaluations, those of a distributed run by the steps that they were due at;
    None if the folder holds none.

  Raises:
    ValueError: if `eval.csv` has no such column, or a file is damaged.
  """
  directory = RunDirectory(folder)
  config = directory.read_config()
  step_column = metrics_files.step_column(config or {})
  rows = metrics_files.read_rows(directory.evaluations, step_column)
  if not rows or config is None:
    return None
  needed = ['env_name', 'algorithm', 'seed']
  if config.get('distributed'):
    needed += ['num_steps', 'evaluation_period']
  if missing := [name for name in needed if name not in config]:
    raise files.DamagedFileError(
      f'{directory.config} does not say {", ".join(missing)}: mend it, or leave the run '
      'out.'
    )
  if metric not in rows[0]:
    raise ValueError(
      f'{directory.evaluations} has no column {metric!r}; it has {list(rows[0])}.'
    )
  values: dict[int, float] = {}
  for row in rows:  # Of two that were due at one step, the first is nearer to it.
    values.setdefault(_due_step(int(row[step_column]), config), row[metric])
  return Evaluations(config, values)


def std_over_seeds(values: np.ndarray) -> np.ndarray:
  """Returns the standard deviation over the first axis, of a sample; 0 for one seed."""
  return values.std(axis=0, ddof=1 if len(values) > 1 else 0)


def _due_step(step: int, config: Mapping[str, Any]) -> int:
  """Returns the step that an evaluation was due at, which seeds have in common.

  A distributed run is evaluated a little after it; its last step may lie off the grid.
  """
  if not config.get('distributed') or step == config['num_steps']:
    return step
  return step // config['evaluation_period'] * config['evaluation_period']
