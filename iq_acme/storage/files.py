"""Writing files so that a reader never meets a half-written one."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np


class DamagedFileError(ValueError):
  """A file is not what it should be; says which and what to do."""


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
  """Yields a temporary path that takes the place of `path` if the block succeeds.

  Args:
    path: the file to write; what it held before stays until the new one is whole.

  Yields:
    A path in the same folder, with the same ending, to write to.
  """
  folder, name = os.path.split(path)
  # Threads of one process may write the same file, and process ids come back.
  temporary = os.path.join(folder, f'.{os.getpid()}.{secrets.token_hex(4)}.{name}')
  try:
    yield temporary
    # Or the name could reach the disk before what it names, and a power loss between.
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)
    os.replace(temporary, path)
  finally:
    with contextlib.suppress(FileNotFoundError):
      os.remove(temporary)


def write_json(path: str, content: Any) -> None:
  """Writes `content` as indented JSON, whole or not at all."""
  with replacing(path) as temporary, open(temporary, 'w') as file:
    json.dump(content, file, indent=2, default=_to_plain)
    file.write('\n')


def read_json(path: str) -> Any:
  """Returns the content of a JSON file, or None where there is no file.

  Raises:
    DamagedFileError: where it is not JSON.
  """
  try:
    with open(path) as file:
      return json.load(file)
  except FileNotFoundError:
    return None
  except ValueError as error:
    raise DamagedFileError(
      f'{path} is not valid JSON ({error}): mend it, or remove it.'
    ) from None


def as_json(content: Any) -> Any:
  """Returns `content` as JSON gives it back: tuples as lists, numpy as Python."""
  return json.loads(json.dumps(content, default=_to_plain))


def readable_size(num_bytes: int) -> str:
  """Returns a size such as '12.3 MB'."""
  size = float(num_bytes)
  for unit in ('B', 'kB', 'MB'):
    if size < 1000:
      return f'{size:.0f} {unit}' if unit == 'B' else f'{size:.1f} {unit}'
    size /= 1000
  return f'{size:.1f} GB'


def readable_path(path: str) -> str:
  """Returns a path relative to the working folder if it lies in there."""
  relative = os.path.relpath(path)
  return os.path.abspath(path) if relative.startswith(os.pardir) else relative


def _to_plain(value: Any) -> Any:
  if isinstance(value, (np.generic, np.ndarray)):
    return value.tolist()
  raise TypeError(f'{value!r} of type {type(value).__name__} has no place in JSON.')
