"""What a distributed run's nodes write into its folder; light, for each imports it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

if TYPE_CHECKING:
  import dm_env


class ProgramLoggers:
  """Makes the loggers of a program's nodes; one node writes each file."""

  def __init__(self, workdir: str, tensorboard: bool):
    """Chooses the files.

    Args:
      workdir: the run's folder.
      tensorboard: whether to write TensorBoard events.
    """
    self._workdir = workdir
    self._tensorboard = tensorboard

  def __call__(self, label: str) -> metrics_files.MultiLogger:
    """The logger of 'learner', 'actor' or 'evaluator'."""
    directory = RunDirectory(self._workdir)
    path, name = {
      'learner': (directory.train, 'learner'),
      'actor': (directory.episodes, 'episodes'),
      'evaluator': (directory.evaluations, 'evaluation'),
    }[label]
    loggers: list[metrics_files.Logger] = [metrics_files.CsvFile(path)]
    if self._tensorboard:
      loggers.append(metrics_files.TensorBoard(directory.tensorboard, name))
    return metrics_files.MultiLogger(loggers)


class BestPolicy:
  """Keeps the policy of the best evaluation, by the mean return of its mode."""

  def __init__(self, workdir: str):
    """Remembers the run's folder."""
    self._workdir = workdir

  def __call__(self, row: Mapping[str, float], save: Callable[..., None]) -> None:
    """Saves the policy if none did better; the evaluator alone writes the summary."""
    RunDirectory(self._workdir).keep_best(row, save)


class TaskFactory:
  """Makes environments of a task."""

  def __init__(self, env_name: str, env_options: Mapping[str, Any]):
    """Remembers the task.

    Args:
      env_name: see `iq_acme.make_environment`.
      env_options: its options.
    """
    self._env_name = env_name
    self._env_options = dict(env_options)

  def __call__(self, seed: int) -> 'dm_env.Environment':
    """Makes an environment from a seed."""
    from iq_acme import make_environment

    return make_environment(self._env_name, seed, **self._env_options)
