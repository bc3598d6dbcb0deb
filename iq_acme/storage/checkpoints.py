"""Checkpoints as folders that are there whole or not at all."""

import dataclasses
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from typing import Any

from absl import logging

from iq_acme.storage import files

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

  def line(self) -> str:
    """Returns what the terminal shows of it when it is made."""
    size, path = files.readable_size(self.num_bytes), files.readable_path(self.path)
    return f'{self.actor_steps:>11,}  checkpoint, {size}: {path}'


class DamagedCheckpointsError(ValueError):
  """There are checkpoints, and none of them holds what was written into it."""


class CheckpointStore:
  """The last few checkpoints of a run, in one folder."""

  def __init__(self, directory: str, keep: int = 2):
    """Opens or creates the folder.

    Args:
      directory: the folder of all checkpoints.
      keep: how many of the newest to keep, at least 1.

    Raises:
      ValueError: if `keep` is below 1.
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
    # Not by `tempfile`, whose folders nobody but their owner may enter, whatever the
    # umask.
    temporary = os.path.join(self._directory, f'tmp_{secrets.token_hex(8)}')
    os.mkdir(temporary)
    try:
      write(temporary)
      sizes = _file_sizes(temporary)
      manifest = {
        'actor_steps': actor_steps,
        'files': sizes,
        'crc32': {name: files.crc32(os.path.join(temporary, name)) for name in sizes},
      }
      with open(os.path.join(temporary, _MANIFEST), 'w') as file:
        json.dump(manifest, file, indent=2)
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
    """Returns every whole checkpoint, newest first, by the sizes of its files."""
    found = []
    for path, actor_steps in self._folders():
      manifest = _read_manifest(path)
      if manifest and not _wrong_sizes(path, manifest):
        num_bytes = sum(manifest['files'].values())
        found.append(CheckpointInfo(path, num_bytes, actor_steps))
    return found

  def latest(self) -> CheckpointInfo | None:
    """Returns the newest whole checkpoint, by the sizes of its files, if any."""
    return next(iter(self.checkpoints()), None)

  def latest_intact(self) -> CheckpointInfo | None:
    """Returns the newest checkpoint of which every byte is as it was written.

    This reads the whole of it, so it is for the one that is to be restored. Newer ones
    that are damaged are moved aside to '<name>.damaged', with a warning, so that they
    take no place among those that are kept.

    Returns:
      The checkpoint, None if there never was one.

    Raises:
      DamagedCheckpointsError: if all are damaged; they stay where they are.
    """
    self._remove_leftovers()
    damaged = []
    for path, actor_steps in self._folders():
      manifest = _read_manifest(path)
      what = _damage(path, manifest)
      if what is None:
        for other, reason in damaged:
          _move_aside(other, reason, instead=path)
        return CheckpointInfo(path, sum(manifest['files'].values()), actor_steps)
      damaged.append((path, what))
    if damaged:
      raise DamagedCheckpointsError(
        'No checkpoint can be restored: '
        + '; '.join(f'{path} is damaged ({what})' for path, what in damaged)
        + f'. To begin anew, move {self._directory} away.'
      )
    return None

  def _folders(self) -> list[tuple[str, int]]:
    """Lists what is named as a checkpoint, path and actor steps, newest first."""
    matches = filter(None, map(_PATTERN.match, os.listdir(self._directory)))
    # Of two after the same step, the one that replaced the other comes first.
    ordered = sorted(matches, key=lambda match: (-int(match[1]), len(match[0])))
    return [
      (os.path.join(self._directory, match[0]), int(match[1])) for match in ordered
    ]

  def _drop_old(self) -> None:
    for info in self.checkpoints()[self._keep :]:
      shutil.rmtree(info.path, ignore_errors=True)
    self._remove_leftovers()

  def _remove_leftovers(self) -> None:
    for name in os.listdir(self._directory):
      if name.startswith('tmp_'):  # Left by a process that was killed.
        shutil.rmtree(os.path.join(self._directory, name), ignore_errors=True)


def _file_sizes(directory: str) -> dict[str, int]:
  """Returns the relative path and size in bytes of every file below a folder."""
  sizes = {}
  for root, _, names in os.walk(directory):
    for name in names:
      path = os.path.join(root, name)
      sizes[os.path.relpath(path, directory)] = os.path.getsize(path)
  return sizes


def _read_manifest(path: str) -> dict[str, Any] | None:
  """Returns what a checkpoint says of itself, None if nothing can be made of it."""
  try:
    with open(os.path.join(path, _MANIFEST)) as file:
      manifest = json.load(file)
  except (OSError, ValueError, RecursionError):
    return None
  if not isinstance(manifest, dict):
    return None
  for entry in (manifest.get('files'), manifest.get('crc32', {})):  # Older: no crc32.
    if not isinstance(entry, dict):
      return None
    if not all(type(number) is int for number in entry.values()):
      return None
  return manifest


def _wrong_sizes(path: str, manifest: dict[str, Any]) -> list[str]:
  """Returns the files that are missing or of another size."""
  found = _file_sizes(path)
  # Files that came later, such as a file browser's, do no harm.
  return [name for name, size in manifest['files'].items() if found.get(name) != size]


def _damage(path: str, manifest: dict[str, Any] | None) -> str | None:
  """Returns what is wrong with a checkpoint, None if nothing is; reads all of it."""
  if manifest is None:
    return f'{_MANIFEST} is missing or damaged'
  if names := _wrong_sizes(path, manifest):
    return f'missing or of another size: {", ".join(names)}'
  for name, checksum in manifest.get('crc32', {}).items():  # Older ones have none.
    try:
      found = files.crc32(os.path.join(path, name))
    except OSError as error:
      return f'{name} cannot be read: {error}'
    if found != checksum:
      return f'{name} has the CRC-32 {found:08x}, was written with {checksum:08x}'
  return None


def _move_aside(path: str, reason: str, instead: str) -> None:
  aside = f'{path}.damaged'
  shutil.rmtree(aside, ignore_errors=True)
  os.rename(path, aside)
  logging.warning(
    'The checkpoint %s is damaged (%s). Restoring the older %s instead; the damaged one '
    'is kept as %s.',
    path,
    reason,
    instead,
    aside,
  )
