"""Nests of arrays in one file: npz, without pickle, written whole or not at all."""

import json
import os
import zipfile
import zlib
from typing import Any

import jax
import numpy as np

from iq_acme.storage import files

_HEADER = 'header.json'


class CorruptFileError(ValueError):
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
  directory = os.path.dirname(os.path.abspath(path))
  os.makedirs(directory, exist_ok=True)
  with files.replacing(path) as temporary, open(temporary, 'xb') as file:
    np.savez(file, **arrays)


def load_header(path: str) -> dict[str, Any]:
  """Reads what `save_tree` kept beside the arrays.

  Args:
    path: a file that `save_tree` wrote.

  Returns:
    The header.

  Raises:
    FileNotFoundError: where there is no such file.
    CorruptFileError: where it is damaged or was not written by `save_tree`.
  """
  return _load(path)[1]


def load_tree(path: str, like: Any) -> Any:
  """Reads a nest of arrays of a known structure.

  Args:
    path: a file that `save_tree` wrote.
    like: a nest of arrays, or of `jax.ShapeDtypeStruct`s, with the structure, shapes and
      dtypes that are expected; no number of it is read or copied.

  Returns:
    A nest of numpy arrays with the structure of `like`.

  Raises:
    FileNotFoundError: where there is no such file.
    CorruptFileError: where it is damaged or was not written by `save_tree`.
    ValueError: where an array is missing, left over, or of another shape or dtype,
      naming it: the file belongs to another configuration.
  """
  arrays, _ = _load(path)
  expected = dict(_named_leaves(like))
  if set(arrays) != set(expected):
    missing = sorted(set(expected) - set(arrays))
    unknown = sorted(set(arrays) - set(expected))
    raise ValueError(
      f'{path} does not fit this configuration: missing {missing or "nothing"}, '
      f'not expected {unknown or "nothing"}.'
    )
  for name, leaf in expected.items():
    found = arrays[name]
    if not isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)):
      leaf = np.asarray(leaf)
    shape, dtype = leaf.shape, np.dtype(leaf.dtype)
    if found.shape != shape or found.dtype != dtype:
      raise ValueError(
        f'{path} does not fit this configuration: {name} is {found.dtype.name}'
        f'{list(found.shape)}, expected {dtype.name}{list(shape)}.'
      )
  return jax.tree.unflatten(
    jax.tree.structure(like), [arrays[name] for name in expected]
  )


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def _load(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop(_HEADER).tobytes())
    if not isinstance(header, dict):
      raise TypeError('its header is not a mapping')
  except FileNotFoundError:
    raise
  except (
    zipfile.BadZipFile,
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    TypeError,
    RuntimeError,  # What zipfile raises for features that damage can feign.
    zlib.error,
  ) as error:
    raise CorruptFileError(
      f'{path} is damaged or was not written by this package: {error}'
    ) from error
  return arrays, header
