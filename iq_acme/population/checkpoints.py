"""Checkpoints of a population: every member, its replay, and what was counted."""

import json
import os

from iq_acme.population.engine import Population
from iq_acme.schedule import Progress
from iq_acme.storage import files
from iq_acme.storage.checkpoints import CheckpointInfo, CheckpointStore
from iq_acme.training.run_directory import RunDirectory

_PROGRESS = 'progress.json'


class PopulationCheckpoints:
  """The last few checkpoints, in the folder of the first member."""

  def __init__(self, first: str, keep: int):
    """Opens or creates the folder.

    Args:
      first: the run folder of the first member.
      keep: how many of the newest to keep, at least 1.
    """
    self._store = CheckpointStore(RunDirectory(first).checkpoints, keep)

  def save(self, population: Population, progress: Progress) -> CheckpointInfo:
    """Makes a checkpoint, whole or not at all."""

    def write(folder: str) -> None:
      population.save(folder)
      files.write_json(os.path.join(folder, _PROGRESS), progress.as_json())

    return self._store.save(progress.actor_steps, write)

  def restore(self, population: Population) -> tuple[Progress, str] | None:
    """Restores the newest one that is intact; returns its counts and its path, if any.

    Raises:
      DamagedCheckpointsError: if there are checkpoints, and none is intact.
      ValueError: if it is of members of another configuration.
    """
    checkpoint = self._store.latest_intact()
    if checkpoint is None:
      return None
    population.restore(checkpoint.path)
    with open(os.path.join(checkpoint.path, _PROGRESS)) as file:
      return Progress.from_json(json.load(file)), checkpoint.path
