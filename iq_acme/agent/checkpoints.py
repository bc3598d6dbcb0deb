"""Writes an agent's checkpoints and reads them back: learner, counts, key, replay."""

import dataclasses
import json
import os
import shutil
import tempfile
from typing import Any

import jax
import numpy as np
from absl import logging
from reverb.platform import checkpointers_lib

from iq_acme.agent.contracts import Replay
from iq_acme.replay.table import is_server_checkpoint
from iq_acme.schedule import Progress
from iq_acme.storage import locking, serialization
from iq_acme.storage.checkpoints import CheckpointInfo, CheckpointStore

_LEARNER = 'learner.npz'
_PROGRESS = 'progress.json'
_REPLAY = 'replay'


@dataclasses.dataclass(frozen=True)
class RestoredAgent:
  """Holds what a checkpoint held, but for the replay, which was restored by then.

  Attributes:
    path: the checkpoint's folder.
    learner_state: what the learner's `save` returned.
    actor_key: the actor's random key, uint32 [2].
    progress: what the run had counted.
  """

  path: str
  learner_state: Any
  actor_key: np.ndarray
  progress: Progress


class WorkdirInUseError(ValueError):
  """The run's folder belongs to an agent that is still alive."""


class AgentCheckpoints:
  """Checkpoints below a run's folder: learner, counts, random key and replay.

  A Reverb server writes to, and reads from, folders that it is told of when it
  starts. So it writes into a scratch folder, from which each checkpoint is moved to
  its place, and is started with the folder of the checkpoint to restore.
  """

  def __init__(self, workdir: str, keep: int, with_replay: bool):
    """Opens the folder and picks the checkpoint to restore, if there is one.

    Args:
      workdir: the run's folder, which is this object's alone until `close`.
      keep: how many of the newest to keep.
      with_replay: whether to save what is in replay.

    Raises:
      WorkdirInUseError: if another agent has the folder.
      DamagedCheckpointsError: if there are checkpoints, and none is intact.
      ValueError: if `keep` is below 1.
    """
    workdir = os.path.expanduser(workdir)
    self._store = CheckpointStore(os.path.join(workdir, 'checkpoints'), keep)
    self._with_replay = with_replay
    # Not the '.lock' of a run of `experiments`, which holds that and this one as well.
    try:
      self._lock = locking.FileLock(os.path.join(workdir, '.agent.lock'))
    except locking.InUseError as error:
      raise WorkdirInUseError(
        f'workdir {workdir} is in use by another agent (process {error.holder}). '
        'Close that one, or give this one a folder of its own.'
      ) from None
    try:
      self._latest = self._store.latest_intact()
      for name in os.listdir(workdir):
        if name.startswith('.replay_'):  # Left by a process that was killed.
          shutil.rmtree(os.path.join(workdir, name), ignore_errors=True)
      self._scratch = tempfile.mkdtemp(prefix='.replay_', dir=os.path.abspath(workdir))
    except BaseException:
      self._lock.release()
      raise

  def reverb_checkpointer(self) -> checkpointers_lib.CheckpointerBase:
    """Makes what the replay server is started with."""
    fallback = None
    if self._latest:
      replay = os.path.join(self._latest.path, _REPLAY)
      fallback = replay if is_server_checkpoint(replay) else None
    return checkpointers_lib.DefaultCheckpointer(
      self._scratch, fallback_checkpoint_path=fallback
    )

  def save(
    self,
    progress: Progress,
    *,
    learner_state: Any,
    actor_key: jax.Array,
    replay: Replay,
  ) -> CheckpointInfo:
    """Makes a checkpoint.

    Args:
      progress: what the run has counted.
      learner_state: what the learner's `save` returned.
      actor_key: the actor's random key.
      replay: what is in replay.

    Returns:
      The checkpoint.
    """

    def write(directory: str) -> None:
      tree = {'learner': learner_state, 'actor_key': actor_key}
      serialization.save_tree(os.path.join(directory, _LEARNER), tree)
      with open(os.path.join(directory, _PROGRESS), 'w') as file:
        json.dump(progress.as_json(), file, indent=2)
      if self._with_replay:
        replay.save(os.path.join(directory, _REPLAY))

    # Named by all steps of the run: one of either kind makes a later checkpoint.
    step = progress.actor_steps + progress.offline_sgd_steps
    return self._store.save(step, write)

  def restore(self, learner_state_like: Any, replay: Replay) -> RestoredAgent | None:
    """Reads the checkpoint that was picked when this was made.

    Args:
      learner_state_like: a learner's state, of which shapes and dtypes alone are read.
      replay: what is filled with the saved replay, if there is any.

    Returns:
      What it held, None if there was none.

    Raises:
      ValueError: if it belongs to a learner of another configuration, or its
        replay to another kind of replay.
    """
    if not self._latest:
      return None
    path = self._latest.path
    key = jax.ShapeDtypeStruct((2,), np.uint32)
    like = {'learner': learner_state_like, 'actor_key': key}
    tree = serialization.load_tree(os.path.join(path, _LEARNER), like)
    progress = read_progress(path)
    saved_replay = os.path.join(path, _REPLAY)
    if not replay.restore(saved_replay) and os.path.exists(saved_replay):
      raise ValueError(
        f'{saved_replay} was not saved by the kind of replay that this agent has '
        "(IQConfig.replay: 'resident' or 'table'): it would be lost. Go on with the "
        'kind that the run was started with, or start afresh in another workdir.'
      )
    logging.info('Restored %s', path)
    return RestoredAgent(path, tree['learner'], tree['actor_key'], progress)

  def close(self) -> None:
    """Removes the scratch folder and lets go of the run's folder; idempotent."""
    # While the lock is held: the next agent's scratch folder is none of this one's.
    shutil.rmtree(self._scratch, ignore_errors=True)
    self._lock.release()


def read_progress(path: str) -> Progress:
  """Returns what the run had counted at a checkpoint.

  Args:
    path: the checkpoint's folder.
  """
  with open(os.path.join(path, _PROGRESS)) as file:
    return Progress.from_json(json.load(file))
