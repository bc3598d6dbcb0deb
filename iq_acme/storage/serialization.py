"""Nests of arrays in one file: npz, without pickle, written whole or not at all."""

import contextlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from iq_acme.storage import files

_HEADER = 'header.json'
_MAX_HEADER_BYTES = 2**24  # A few bounds of images; configurations take a thousand.


class CorruptFileError(files.DamagedFileError):
  """A file that is cut off, damaged, or not of this format at all."""


def save_tree(path: str, tree: Any, header: dict[str, Any] | None = None) -> None:
  """Writes a nest of arrays, to a temporary name first.

  Args:
    path: the file to write or replace.
    tree: a nest of arrays.
    header: anything JSON can hold, to be kept beside them.
  """
  arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(tree)}
  arrays[_HEADER] = np.frombuffer(json.dumps(header or {}).encode(), np.uint8)
  path = os.path.abspath(os.path.expanduser(path))
  os.makedirs(os.path.dirname(path), exist_ok=True)
  archive = io.BytesIO()  # On a full disk numpy would leave its own half open.
  np.savez(archive, **arrays)
  with files.replacing(path) as temporary, open(temporary, 'xb') as file:
    file.write(archive.getbuffer())


class Contents(NamedTuple):
  """What a file of `save_tree` says of itself.

  Attributes:
    header: what was kept beside the arrays.
    arrays: shape and dtype of each array, by name.
  """

  header: dict[str, Any]
  arrays: dict[str, jax.ShapeDtypeStruct]


def load_header(path: str) -> dict[str, Any]:
  """Reads what `save_tree` kept beside the arrays; see `read_contents`."""
  return read_contents(path).header


def read_contents(path: str) -> Contents:
  """Reads the header, and what arrays there are, but none of them.

  No array is larger than the file, for they are not compressed. So whatever a
  stranger's file says, reading them takes no more memory than the file is long.

  Args:
    path: a file that `save_tree` wrote.

  Returns:
    What it holds.

  Raises:
    FileNotFoundError: if there is no such file.
    CorruptFileError: if it is damaged or was not written by `save_tree`.
  """
  path = os.path.expanduser(path)
  with refusing_foreign(path), zipfile.ZipFile(path) as archive:
    members = archive.infolist()
    _check_sizes(members, os.path.getsize(path))
    arrays = {}
    for member in members:
      with archive.open(member) as file:
        arrays[member.filename.removesuffix('.npy')] = _read_shape(file, member)
    header_shape = arrays.pop(_HEADER)
    if header_shape.size > _MAX_HEADER_BYTES:
      raise ValueError(f'its header has {header_shape.size} bytes')
    with np.load(path, allow_pickle=False) as file:
      header = json.loads(file[_HEADER].tobytes())
    if not isinstance(header, dict):
      raise TypeError('its header is not a mapping')
  return Contents(header, arrays)


def load_tree(path: str, like: Any) -> Any:
  """Reads a nest of arrays of a known structure.

  Args:
    path: a file that `save_tree` wrote.
    like: a nest with the structure, shapes and dtypes that are expected, of arrays or
      of `jax.ShapeDtypeStruct`. They are compared before any array is read.

  Returns:
    A nest of numpy arrays with the structure of `like`.

  Raises:
    FileNotFoundError: if there is no such file.
    CorruptFileError: if it is damaged or was not written by `save_tree`.
    ValueError: if an array is missing, left over, or of another shape or dtype,
      naming it: the file belongs to another configuration.
  """
  path = os.path.expanduser(path)
  found = read_contents(path).arrays
  expected = dict(_named_leaves(jax.tree.map(_shape_and_dtype, like)))
  if set(found) != set(expected):
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    raise ValueError(
      f'{path} does not fit this configuration: missing {missing or "nothing"}, '
      f'not expected {unknown or "nothing"}.'
    )
  for name, leaf in expected.items():
    if found[name] != leaf:
      raise ValueError(
        f'{path} does not fit this configuration: {name} is {_readable(found[name])}, '
        f'expected {_readable(leaf)}.'
      )
  with refusing_foreign(path), np.load(path, allow_pickle=False) as file:
    leaves = [file[name] for name in expected]
  return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def _shape_and_dtype(leaf: Any) -> jax.ShapeDtypeStruct:
  if not isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)):  # Copy no device's.
    leaf = np.asarray(leaf)
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _readable(leaf: jax.ShapeDtypeStruct) -> str:
  return f'{leaf.dtype.name}{list(leaf.shape)}'


def _check_sizes(members: Sequence[zipfile.ZipInfo], file_size: int) -> None:
  """Raises a ValueError for an archive that `save_tree` did not write."""
  for member in members:
    if member.compress_type != zipfile.ZIP_STORED:
      raise ValueError(f'{member.filename} is compressed')
  if sum(member.file_size for member in members) > file_size:
    raise ValueError('it says that its arrays are larger than the file')


def _read_shape(file: Any, member: zipfile.ZipInfo) -> jax.ShapeDtypeStruct:
  """Reads shape and dtype of an array of an archive."""
  version = np.lib.format.read_magic(file)
  read = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }[version]
  shape, _, dtype = read(file)
  num_bytes = math.prod(shape) * dtype.itemsize
  if not dtype.itemsize or file.tell() + num_bytes != member.file_size:
    raise ValueError(f'{member.filename} says that it is {dtype.name}{list(shape)}')
  return jax.ShapeDtypeStruct(shape, dtype)


@contextlib.contextmanager
def refusing_foreign(path: str, *passed: type[Exception]) -> Iterator[None]:
  """Turns whatever the bytes of a file bring about into a `CorruptFileError`.

  Args:
    path: the file.
    *passed: exceptions that say more than that.
  """
  try:
    yield
  except (FileNotFoundError, IsADirectoryError, CorruptFileError, *passed):
    raise
  except Exception as error:
    raise CorruptFileError(
      f'{path} is damaged or was not written by this package: {error}'
    ) from error
