"""The folder of a run: what lies where, whom it belongs to, where a resume begins."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iq_acme.storage import files, locking
from iq_acme.storage.checkpoints import CheckpointStore
from iq_acme.training import events, metrics_files
from iq_acme.training.differences import list_differences

_LOCKS = ('.lock', '.agent.lock')
_LOG_ENDINGS = ('.txt', '.log', '.out')
_MEAN = 'mode_return_mean'
# The types of entries of config.json, of the summary and of its best evaluation.
_TYPES = {
  **dict.fromkeys(('env_name', 'algorithm', 'engine'), str),
  **dict.fromkeys(('stopped', 'population', 'counted_steps'), str),
  **dict.fromkeys(('env_options', 'agent', 'best_evaluation', 'demonstrations'), dict),
  **dict.fromkeys(('num_steps', 'seed', *metrics_files.STEP_COLUMNS), int),
  **dict.fromkeys(('evaluation_period', 'evaluation_episodes'), int),
  **dict.fromkeys(('training_seconds', _MEAN), (int, float)),
  'finished': bool,
}


class RunDirectoryError(Exception):
  """A folder that cannot be used for this run, with what to do about it."""


class RunDirectory:
  """Paths and records of one run.

  Attributes:
    path: the folder.
    config: what makes the run this run; compared before a resume.
    versions: one entry for each time the run was started, of what it ran on.
    summary: the last checkpoint, the best evaluation, and whether the run is done.
    train: learner metrics.
    episodes: training episodes.
    evaluations: evaluations.
    tensorboard: the same three as TensorBoard events.
    logs: what each node of a distributed run has written.
    checkpoints: written by the agent.
    policy: the policy of the last checkpoint.
    best_policy: the policy of the best evaluation.
    curve: the evaluations as a picture.
  """

  def __init__(self, path: str, step_column: str | None = None):
    """Names the files of a folder; `step_column` is what config.json says if None."""
    self._step_column = step_column
    self.path = path = os.path.expanduser(path)
    self.config = os.path.join(path, 'config.json')
    self.versions = os.path.join(path, 'versions.json')
    self.summary = os.path.join(path, 'summary.json')
    self.train = os.path.join(path, 'train.csv')
    self.episodes = os.path.join(path, 'episodes.csv')
    self.evaluations = os.path.join(path, 'eval.csv')
    self.tensorboard = os.path.join(path, 'tensorboard')
    self.logs = os.path.join(path, 'logs')
    self.checkpoints = os.path.join(path, 'checkpoints')
    self.policy = os.path.join(path, 'policy.npz')
    self.best_policy = os.path.join(path, 'policy_best.npz')
    self.curve = os.path.join(path, 'curve.png')

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Keeps other runs out of the folder, which it creates.

    The system drops the lock with the process, however that ends. If nothing comes of
    the run, the folder is as it was before. Leftovers of killed processes are removed.

    Yields:
      Nothing.

    Raises:
      RunDirectoryError: if another process holds the lock, or there can be no folder.
    """
    own = (*(os.path.join(self.path, name) for name in _LOCKS), self.checkpoints)
    created = files.missing_folders(self.path)
    created += [path for path in own if not os.path.exists(path)]
    try:
      os.makedirs(self.path, exist_ok=True)
      lock = locking.FileLock(own[0])
    except OSError as error:
      if error.errno in files.STORAGE_ERRORS:
        raise
      raise RunDirectoryError(
        f"{self.path} cannot be a run's folder: {error}."
      ) from None
    except locking.InUseError as error:
      raise RunDirectoryError(
        f'{self.path} is in use by another run (process {error.holder}). '
        'Wait for it, stop it, or give this run a folder of its own.'
      ) from None
    with lock:
      try:
        for folder in (self.path, self.logs):
          if os.path.isdir(folder):
            files.remove_leftovers(folder)
        yield
      finally:
        if not os.path.exists(self.config):
          files.remove_traces(created)

  def check_config(
    self, config: Mapping[str, Any], defaults: Mapping[str, Any] = {}
  ) -> None:
    """Refuses a folder that holds another run; changes nothing.

    Args:
      config: the run's configuration, nested dicts of JSON values. `num_steps` may
        be larger than the folder's.
      defaults: what stood for fields that the folder's version did not have.

    Raises:
      RunDirectoryError: naming each field that differs.
    """
    recorded = self.read_config()
    if recorded is None:
      self._check_empty()
      return
    differences = list_differences(
      recorded, files.as_json(config), files.as_json(defaults)
    )
    if differences:
      raise RunDirectoryError(
        f'{self.path} holds a run with another configuration:\n'
        + '\n'.join(f'  {line}' for line in differences)
        + '\nChange the flags back to resume it, or give this run a folder of its own.'
      )

  def check_files(self) -> None:
    """Refuses a folder with a damaged record; changes nothing.

    Raises:
      DamagedFileError: naming the file, and what to do.
    """
    for path in (self.policy, self.best_policy, self.curve, *self._tables()):
      if os.path.isdir(path):
        raise files.DamagedFileError(f'{path} is a folder, not a file: move it away.')
    for path in (self.checkpoints, self.tensorboard, self.logs):
      if os.path.exists(path) and not os.path.isdir(path):
        raise files.DamagedFileError(f'{path} is a file, not a folder: move it away.')
    self.read_summary()
    files.read_json(self.versions, list)
    for path, column in self._tables().items():
      metrics_files.read_rows(path, column)

  @property
  def step_column(self) -> str:
    """What the run's steps are: 'actor_steps', or offline 'learner_steps'."""
    return self._step_column or metrics_files.step_column(self.read_config() or {})

  def _tables(self) -> dict[str, str]:
    """Returns the CSV files, and the steps by which a checkpoint knows their rows.

    Actors of a distributed run may be ahead of what the checkpoint counts, so rows of
    its learner are known by SGD steps.
    """
    return {
      self.train: 'learner_steps',
      self.episodes: metrics_files.STEP_COLUMN,
      self.evaluations: self.step_column,
    }

  def read_config(self) -> dict[str, Any] | None:
    """Returns what makes the run this run, None if nothing says so."""
    return files.read_json(
      self.config, entries=_TYPES, otherwise='move the whole folder away'
    )

  def write_config(self, config: Mapping[str, Any]) -> None:
    """Records the configuration, or the larger `num_steps` of a resumed run."""
    if self.read_config() != files.as_json(config):
      files.write_json(self.config, config)

  def add_versions(self, entry: Mapping[str, Any]) -> None:
    """Appends what this start of the run runs on."""
    entries = files.read_json(self.versions, list) or []
    files.write_json(self.versions, [*entries, entry])

  def make_logger(
    self,
    label: str,
    tensorboard: bool,
    position: Callable[[], Mapping[str, Any]] = dict,
  ) -> metrics_files.MultiLogger:
    """Makes the logger of a file of metrics.

    Args:
      label: who writes it: 'learner', 'actor' or 'evaluator'.
      tensorboard: whether to write TensorBoard events too.
      position: see `MultiLogger`.
    """
    path, name = {
      'learner': (self.train, 'learner'),
      'actor': (self.episodes, 'episodes'),
      'evaluator': (self.evaluations, 'evaluation'),
    }[label]
    loggers: list[metrics_files.Logger] = [metrics_files.CsvFile(path)]
    if tensorboard:
      loggers.append(events.TensorBoard(self.tensorboard, name, self.step_column))
    return metrics_files.MultiLogger(loggers, position)

  def read_summary(self) -> dict[str, Any]:
    """Returns the summary, empty for a new run.

    Raises:
      DamagedFileError: naming the entry that is of another type than it should be.
    """
    summary = files.read_json(self.summary, entries=_TYPES) or {}
    best = summary.get('best_evaluation')
    if best is not None and not (
      isinstance(best.get(_MEAN), _TYPES[_MEAN])
      and any(isinstance(best.get(name), int) for name in metrics_files.STEP_COLUMNS)
    ):
      raise files.DamagedFileError(
        f'{self.summary} has {best} for best_evaluation: mend it, or remove it.'
      )
    return summary

  def update_summary(self, **changes: Any) -> None:
    """Replaces entries of the summary."""
    files.write_json(self.summary, {**self.read_summary(), **changes})

  def keep_best(self, evaluation: Mapping[str, Any], save: Callable[..., None]) -> None:
    """Saves a policy whose mode did better than any before, and records that.

    Args:
      evaluation: its step and `mode_return_mean`, by column; NaN is never the best.
      save: called with a path and `evaluation=`, metadata for the policy's file.
    """
    result = {name: evaluation[name] for name in (self.step_column, _MEAN)}
    mean = result[_MEAN]
    if math.isnan(mean) or mean <= self._best_so_far():
      return
    save(self.best_policy, evaluation=result)
    self.update_summary(best_evaluation=result)

  def _best_so_far(self) -> float:
    """Reads summary and policy: a kill between the two must not cost the better one."""
    from iq_acme.storage import serialization

    means = [(self.read_summary().get('best_evaluation') or {}).get(_MEAN)]
    with contextlib.suppress(
      FileNotFoundError, serialization.CorruptFileError, AttributeError
    ):
      metadata = serialization.load_header(self.best_policy).get('metadata', {})
      means.append(metadata.get('evaluation', {}).get(_MEAN))
    return max((x for x in means if isinstance(x, (int, float))), default=-math.inf)

  def cut_after(self, actor_steps: int, learner_steps: int) -> int:
    """Drops all rows from beyond a checkpoint.

    The best evaluation and its policy stay, even if they are from beyond it.

    Args:
      actor_steps: of the checkpoint from which the run goes on.
      learner_steps: its SGD steps.

    Returns:
      How many rows were dropped.
    """
    steps = {metrics_files.STEP_COLUMN: actor_steps, 'learner_steps': learner_steps}
    return sum(
      metrics_files.cut_rows(path, steps[column], column)
      for path, column in self._tables().items()
    )

  def last_checkpoint(self) -> str:
    """Returns the newest whole checkpoint and how to go on, in words."""
    newest = None
    if os.path.isdir(self.checkpoints):
      newest = CheckpointStore(self.checkpoints).latest()
    if newest is None:
      return 'There is no checkpoint yet.'
    path = files.readable_path(newest.path)
    return f'The last checkpoint is {path}; the same command goes on from there.'

  def _check_empty(self) -> None:
    """Refuses to mix with anything but logs, which nothing tells the origin of."""
    found = sorted(filter(self._is_result, os.listdir(self.path)))
    if found:
      more = f' and {len(found) - 3} more' if len(found) > 3 else ''
      raise RunDirectoryError(
        f'{self.path} holds {", ".join(found[:3])}{more} but no config.json to tell of '
        'which run. Give this run a folder of its own.'
      )

  def _is_result(self, name: str) -> bool:
    """Returns whether it is neither a log nor left by a run killed at its start."""
    path = os.path.join(self.path, name)
    if os.path.isdir(path):
      return not name.startswith('.replay_') and bool(os.listdir(path))
    return name not in _LOCKS and not name.endswith(_LOG_ENDINGS)
