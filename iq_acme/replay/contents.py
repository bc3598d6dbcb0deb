"""Saving what is in replay, whoever keeps it."""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import reverb
from reverb import reverb_types

from iq_acme.replay.resident import ResidentReplay


class ReplayContents(Protocol):
  """What is in replay.

  Attributes:
    size: transitions that can be sampled, or are on their way.
  """

  size: int

  def save(self, directory: str) -> None:
    """Writes everything into a folder, which is made."""

  def restore(self, directory: str) -> bool:
    """Reads it back; returns whether the folder holds anything of this kind.

    Raises:
      ValueError: where it was saved under settings that cannot be changed.
    """


class ServerContents:
  """What a Reverb server keeps; it reads a checkpoint itself, when it starts."""

  def __init__(self, client: reverb.Client, tables: Sequence[reverb_types.TableInfo]):
    """Wraps a client of the server.

    Args:
      client: a client of it.
      tables: the `info` of the tables that it was made with.
    """
    self._client = client
    self._tables = tables

  @property
  def size(self) -> int:
    return sum(info.current_size for info in self._client.server_info().values())

  def save(self, directory: str) -> None:
    os.rename(self._client.checkpoint(), directory)

  def restore(self, directory: str) -> bool:
    if not is_server_checkpoint(directory):
      return False
    # Restored tables have the settings they were saved with, whatever was asked for.
    found = self._client.server_info()
    for table in self._tables:
      _check_unchanged(directory, table, found[table.name])
    return True


def _check_unchanged(
  directory: str, asked: reverb_types.TableInfo, restored: reverb_types.TableInfo
) -> None:
  """Raises a ValueError where a table restores to other settings than were asked for."""
  for setting, value in _settings(asked).items():
    saved = _settings(restored)[setting]
    if saved != value:
      raise ValueError(
        f'{setting} is {value:g} but was {saved:g} when {directory} was saved, and a '
        f'Reverb table ({asked.name!r}) goes on with what it was saved with. Set it to '
        f'{saved:g}, or start afresh in another workdir.'
      )


def _settings(table: reverb_types.TableInfo) -> dict[str, float]:
  """What a table's checkpoint fixes, by the names of `IQConfig` where it has them."""
  limiter = table.rate_limiter_info
  return {
    'max_replay_size': table.max_size,
    'min_replay_size': limiter.min_size_to_sample,
    'samples_per_insert': limiter.samples_per_insert,
    "the rate limiter's min_diff": limiter.min_diff,
    "the rate limiter's max_diff": limiter.max_diff,
  }


def is_server_checkpoint(directory: str) -> bool:
  """Whether a folder is a Reverb server's checkpoint, complete."""
  return os.path.exists(os.path.join(directory, 'DONE'))


def resident_replay(builder: Any) -> ResidentReplay | None:
  """The ring of a builder that has one."""
  replay = getattr(builder, 'replay', None)
  return replay if isinstance(replay, ResidentReplay) else None
