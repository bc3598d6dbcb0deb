"""The folder of a run: what lies where, whom it belongs to, where a resume begins."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iq_acme.storage import files, locking
from iq_acme.training import metrics_files
from iq_acme.training.differences import list_differences


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
    checkpoints: written by the agent.
    policy: the policy of the last checkpoint.
    best_policy: the policy of the best evaluation.
    curve: the evaluations as a picture.
  """

  def __init__(self, path: str):
    self.path = path
    self.config = os.path.join(path, 'config.json')
    self.versions = os.path.join(path, 'versions.json')
    self.summary = os.path.join(path, 'summary.json')
    self.train = os.path.join(path, 'train.csv')
    self.episodes = os.path.join(path, 'episodes.csv')
    self.evaluations = os.path.join(path, 'eval.csv')
    self.tensorboard = os.path.join(path, 'tensorboard')
    self.checkpoints = os.path.join(path, 'checkpoints')
    self.policy = os.path.join(path, 'policy.npz')
    self.best_policy = os.path.join(path, 'policy_best.npz')
    self.curve = os.path.join(path, 'curve.png')

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Keeps other runs out of the folder, which it creates.

    The system drops the lock with the process, however that ends.

    Yields:
      Nothing.

    Raises:
      RunDirectoryError: if another process holds the lock, or there can be no folder.
    """
    try:
      os.makedirs(self.path, exist_ok=True)
    except OSError as error:
      raise RunDirectoryError(
        f"{self.path} cannot be a run's folder: {error}."
      ) from None
    try:
      lock = locking.FileLock(os.path.join(self.path, '.lock'))
    except locking.InUseError as error:
      raise RunDirectoryError(
        f'{self.path} is in use by another run (process {error.holder}). '
        'Wait for it, stop it, or give this run a folder of its own.'
      ) from None
    with lock:
      yield

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
    try:
      recorded = files.read_json(self.config)
    except files.DamagedFileError as error:
      raise RunDirectoryError(str(error)) from None
    if recorded is None:
      self._check_no_results()
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

  def write_config(self, config: Mapping[str, Any]) -> None:
    """Records the configuration, or the larger `num_steps` of a resumed run."""
    if files.read_json(self.config) != files.as_json(config):
      files.write_json(self.config, config)

  def add_versions(self, entry: Mapping[str, Any]) -> None:
    """Appends what this start of the run runs on."""
    entries = files.read_json(self.versions) or []
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
      loggers.append(metrics_files.TensorBoard(self.tensorboard, name))
    return metrics_files.MultiLogger(loggers, position)

  def read_summary(self) -> dict[str, Any]:
    """Returns the summary, empty for a new run."""
    return files.read_json(self.summary) or {}

  def update_summary(self, **changes: Any) -> None:
    """Replaces entries of the summary."""
    files.write_json(self.summary, {**self.read_summary(), **changes})

  def keep_best(self, evaluation: Mapping[str, Any], save: Callable[..., None]) -> None:
    """Saves a policy whose mode did better than any before, and records that.

    Args:
      evaluation: its `actor_steps` and `mode_return_mean`; NaN is never the best.
      save: called with a path and `evaluation=`, metadata for the policy's file.
    """
    result = {name: evaluation[name] for name in ('actor_steps', 'mode_return_mean')}
    mean = result['mode_return_mean']
    if math.isnan(mean) or mean <= self._best_so_far():
      return
    save(self.best_policy, evaluation=result)
    self.update_summary(best_evaluation=result)

  def _best_so_far(self) -> float:
    """Reads summary and policy: a kill between the two must not cost the better one."""
    from iq_acme.storage import serialization

    records = [self.read_summary().get('best_evaluation')]
    with contextlib.suppress(FileNotFoundError, serialization.CorruptFileError):
      metadata = serialization.load_header(self.best_policy).get('metadata', {})
      records.append(metadata.get('evaluation'))
    return max((r['mode_return_mean'] for r in records if r), default=-math.inf)

  def cut_after(self, step: int) -> int:
    """Drops all rows beyond an actor step, so that no x axis ever goes back.

    The best evaluation and its policy stay, also if they are from beyond it.

    Args:
      step: the step of the checkpoint from which the run goes on.

    Returns:
      How many rows were dropped.
    """
    paths = (self.train, self.episodes, self.evaluations)
    return sum(metrics_files.cut_rows(path, step) for path in paths)

  def _check_no_results(self) -> None:
    """Refuses to mix with results that nothing tells the origin of."""
    found = [
      os.path.basename(path)
      for path in (self.train, self.episodes, self.evaluations, self.policy)
      if os.path.exists(path)
    ]
    if os.path.isdir(self.checkpoints) and os.listdir(self.checkpoints):
      found.append('checkpoints')
    if found:
      raise RunDirectoryError(
        f'{self.path} holds {", ".join(found)} but no config.json to tell of which '
        'run. Give this run a folder of its own.'
      )
