"""Saving what is in replay, whoever keeps it."""

import os
from typing import Any, Protocol

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

# isort: split
import reverb

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
    """Reads it back; returns whether there was anything."""


class ServerContents:
  """What a Reverb server keeps; it reads a checkpoint itself, when it starts."""

  def __init__(self, client: reverb.Client):
    """Wraps a client of the server."""
    self._client = client

  @property
  def size(self) -> int:
    return sum(info.current_size for info in self._client.server_info().values())

  def save(self, directory: str) -> None:
    os.rename(self._client.checkpoint(), directory)

  def restore(self, directory: str) -> bool:
    return is_server_checkpoint(directory)


def is_server_checkpoint(directory: str) -> bool:
  """Whether a folder is a Reverb server's checkpoint, complete."""
  return os.path.exists(os.path.join(directory, 'DONE'))


def resident_replay(builder: Any) -> ResidentReplay | None:
  """The ring of a builder that has one."""
  replay = getattr(builder, 'replay', None)
  return replay if isinstance(replay, ResidentReplay) else None
