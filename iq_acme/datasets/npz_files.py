"""npz files of transitions; docs/data.md says what their arrays are."""

import os
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from iq_acme.storage import files

# The array that tells which rows end an episode, if the rows are whole episodes.
LAST = 'last'


def check_path(path: str) -> str:
  """Returns the path of a file that is there.

  Raises:
    ValueError: if none is.
  """
  path = os.path.expanduser(path)
  if not os.path.isfile(path):
    raise ValueError(
      f'There is no file {path!r}: transitions are read from an npz file, or from '
      "'minari:<dataset id>'."
    )
  return path


def read(path: str) -> dict[str, np.ndarray]:
  """Reads every array of a file; none may be of Python's objects.

  Raises:
    ValueError: if it is no npz file, or a damaged one, naming it.
  """
  path = check_path(path)
  try:
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise ValueError(f'{path} cannot be read as arrays: {error}') from None
  except (TypeError, AttributeError):  # np.load has made an array of it.
    raise ValueError(f'{path} holds one array; it must be an npz file.') from None


def write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays by name, whole or not at all.

  Args:
    path: the file to write or replace; folders on the way to it are made.
    arrays: by name, [N, ...].
  """
  path = os.path.abspath(os.path.expanduser(path))
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with files.replacing(path) as temporary, open(temporary, 'xb') as file:
    np.savez(file, **arrays)
