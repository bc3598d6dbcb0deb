"""Checkpoints as folders that are there whole or not at all."""

import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable

_MANIFEST = 'manifest.json'
# A checkpoint made again after the same step first moves the old one aside, so that
# one of the two is there at every moment.
_PATTERN = re.compile(r'step_(\d{12})(?:\.old)?$')


@dataclasses.dataclass(frozen=True)
class CheckpointInfo:
  """A checkpoint on disk.

  Attributes:
    path: its folder.
    num_bytes: the size of everything in it.
    actor_steps: the environment steps it was made after.
  """

  path: str
  num_bytes: int
  actor_steps: int


class CheckpointStore:
  """The last few checkpoints of a run, in one folder."""

  def __init__(self, directory: str, keep: int = 2):
    """Opens or creates the folder.

    Args:
      directory: the folder of all checkpoints.
      keep: how many of the newest to keep, at least 1.

    Raises:
      ValueError: where `keep` is below 1.
    """
    if keep < 1:
      raise ValueError(f'keep_checkpoints is {keep!r}; it must be at least 1.')
    self._directory = os.path.abspath(directory)
    self._keep = keep
    os.makedirs(self._directory, exist_ok=True)

  def save(self, actor_steps: int, write: Callable[[str], None]) -> CheckpointInfo:
    """Makes a checkpoint, and drops the oldest beyond those to keep.

    Args:
      actor_steps: the environment steps it is made after.
      write: writes everything into the empty folder that it is given.

    Returns:
      The checkpoint. Where `write` raises, nothing is left of it.
    """
    temporary = tempfile.mkdtemp(prefix='tmp_', dir=self._directory)
    try:
      write(temporary)
      sizes = _file_sizes(temporary)
      with open(os.path.join(temporary, _MANIFEST), 'w') as file:
        json.dump({'actor_steps': actor_steps, 'files': sizes}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
      path = os.path.join(self._directory, f'step_{actor_steps:012d}')
      if os.path.exists(path):  # A rename cannot replace a folder that has files.
        shutil.rmtree(f'{path}.old', ignore_errors=True)
        os.rename(path, f'{path}.old')
      os.rename(temporary, path)
      shutil.rmtree(f'{path}.old', ignore_errors=True)
    except BaseException:
      shutil.rmtree(temporary, ignore_errors=True)
      raise
    self._drop_old()
    return CheckpointInfo(path, sum(sizes.values()), actor_steps)

  def checkpoints(self) -> list[CheckpointInfo]:
    """Every whole checkpoint, newest first."""
    found = []
    for name in os.listdir(self._directory):
      match = _PATTERN.match(name)
      path = os.path.join(self._directory, name)
      if match and (sizes := _whole(path)) is not None:
        found.append(CheckpointInfo(path, sum(sizes.values()), int(match[1])))
    # Of two after the same step, the one that replaced the other comes first.
    return sorted(
      found,
      key=lambda info: (info.actor_steps, not info.path.endswith('.old')),
      reverse=True,
    )

  def latest(self) -> CheckpointInfo | None:
    """The newest whole checkpoint, None where there is none."""
    return next(iter(self.checkpoints()), None)

  def _drop_old(self) -> None:
    for info in self.checkpoints()[self._keep :]:
      shutil.rmtree(info.path, ignore_errors=True)
    for name in os.listdir(self._directory):
      if name.startswith('tmp_'):  # Left by a process that was killed.
        shutil.rmtree(os.path.join(self._directory, name), ignore_errors=True)


def _file_sizes(directory: str) -> dict[str, int]:
  """Relative path and size in bytes of every file below a folder."""
  sizes = {}
  for root, _, names in os.walk(directory):
    for name in names:
      path = os.path.join(root, name)
      sizes[os.path.relpath(path, directory)] = os.path.getsize(path)
  return sizes


def _whole(path: str) -> dict[str, int] | None:
  """The files of a checkpoint, None where any is missing or cut off."""
  try:
    with open(os.path.join(path, _MANIFEST)) as file:
      expected = json.load(file)['files']
  except (OSError, ValueError, KeyError, TypeError):
    return None
  if not isinstance(expected, dict):
    return None
  # Files that came later, such as a file browser's, do no harm.
  return expected if expected.items() <= _file_sizes(path).items() else None
