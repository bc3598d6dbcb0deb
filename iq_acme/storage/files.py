"""Writing files so that a reader never meets a half-written one."""

import contextlib
import errno
import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# Of a disk that is full or gone, and of a folder that may not be written to.
STORAGE_ERRORS = (
  *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
  *(errno.EROFS, errno.EACCES, errno.EPERM),
)


class DamagedFileError(ValueError):
  """A file is not what it should be; says which and what to do."""


_BLOCK_BYTES = 2**20
# What `replacing` writes to, with the process's id.
_TEMPORARY = re.compile(r'\.\d+\.[0-9a-f]{8}\..+')


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


def remove_leftovers(folder: str) -> None:
  """Removes what processes that were killed within `replacing` have left in a folder.

  Args:
    folder: one that nobody writes to at this moment.
  """
  for name in os.listdir(folder):
    if _TEMPORARY.fullmatch(name):
      with contextlib.suppress(OSError):
        os.remove(os.path.join(folder, name))


def missing_folders(path: str) -> list[str]:
  """Returns which of a folder and those around it are missing, outermost first."""
  missing = []
  while path and not os.path.exists(path):
    missing.insert(0, path)
    path = os.path.dirname(path)
  return missing


def remove_traces(paths: list[str]) -> None:
  """Removes files, and folders if they are empty, the last first."""
  for path in reversed(paths):
    with contextlib.suppress(OSError):
      (os.rmdir if os.path.isdir(path) else os.remove)(path)


def write_json(path: str, content: Any) -> None:
  """Writes `content` as indented JSON, whole or not at all."""
  with replacing(path) as temporary, open(temporary, 'w') as file:
    json.dump(content, file, indent=2, default=_to_plain)
    file.write('\n')


def read_json(
  path: str,
  kind: type = dict,
  entries: Mapping[str, Any] = {},
  otherwise: str = 'remove it',
) -> Any:
  """Returns the content of a JSON file, or None if there is no file.

  Args:
    path: the file.
    kind: what it must hold, dict or list.
    entries: the types of a dict's entries, of those that it has.
    otherwise: what to do with it if it cannot be mended.

  Raises:
    DamagedFileError: if it is not JSON, or holds anything else.
  """
  try:
    with open(path) as file:
      content = json.load(file)
    if not isinstance(content, kind):
      raise ValueError(f'it holds a {type(content).__name__}, not a {kind.__name__}')
    for name, types in entries.items():
      if name in content and not isinstance(content[name], types):
        raise ValueError(f'it has {content[name]!r} for {name}')
  except (FileNotFoundError, NotADirectoryError):
    return None
  except IsADirectoryError:
    raise DamagedFileError(f'{path} is a folder, not a file: move it away.') from None
  except (ValueError, RecursionError) as error:
    raise DamagedFileError(
      f'{path} is damaged ({error}): mend it, or {otherwise}.'
    ) from None
  return content


def as_json(content: Any) -> Any:
  """Returns `content` as JSON gives it back: tuples as lists, numpy as Python."""
  return json.loads(json.dumps(content, default=_to_plain))


def crc32(path: str) -> int:
  """Returns the CRC-32 of a file, which may be larger than memory."""
  checksum = 0
  with open(path, 'rb') as file:
    while block := file.read(_BLOCK_BYTES):
      checksum = zlib.crc32(block, checksum)
  return checksum


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
