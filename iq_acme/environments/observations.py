"""Observations of any supported space as one float32 vector, checked on the way."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from dm_env import specs
from gymnasium import spaces

# More integers than these are pixels, or a category with a table of its own.
_MOST_INTEGERS = 4_096
_IMAGE_SIDE = 32
_FLOAT32 = np.dtype(np.float32)  # Quicker than its class.


class BadReturnError(ValueError):
  """An environment returned something other than its spaces and its API declare."""


class FlatObservations:
  """Flattens observations in the order of `gymnasium.spaces.utils.flatten`.

  Boxes of floats and small boxes of integers are cast, not scaled; a Discrete becomes
  one-hot; Dict and Tuple are concatenated, the keys in the order of the space.

  Attributes:
    spec: of the vectors, float32 [D].
  """

  def __init__(self, name: str, space: spaces.Space):
    """Looks at the space.

    Args:
      name: the task, for messages.
      space: of the observations.

    Raises:
      ValueError: the space, or a part of it, is not supported.
    """
    self._name = name
    self._space = space
    # The shape, if there is nothing to flatten.
    is_vector = isinstance(space, spaces.Box) and len(space.shape) == 1
    self._vector = space.shape if is_vector else None
    size = sum(_size(name, part, where) for part, where in _parts(space))
    if size == 0:
      raise ValueError(f'the observation space of {name!r} has no elements: {space}')
    self.spec = specs.Array((size,), np.float32, name='observation')

  def __call__(self, observation: Any) -> np.ndarray:
    """Returns a new array [D], float32.

    Args:
      observation: of the space.

    Raises:
      BadReturnError: it is not, in structure, shape or kind.
    """
    if (
      isinstance(observation, np.ndarray)
      and observation.shape == self._vector
      and observation.dtype.kind in 'fiub'
    ):
      # A copy: suites reuse their buffers, and replay keeps what it is given.
      return observation.astype(_FLOAT32)
    parts = list(self._flat_parts(self._space, observation, ''))
    return np.concatenate(parts, dtype=np.float32, casting='unsafe')

  def _flat_parts(
    self, space: spaces.Space, value: Any, where: str
  ) -> Iterator[np.ndarray]:
    if isinstance(space, spaces.Dict):
      if not isinstance(value, Mapping) or set(value) != set(space):
        raise self._error(where, f'a dict of {", ".join(map(repr, space))}', value)
      for key, part in space.items():
        yield from self._flat_parts(part, value[key], f'{where}[{key!r}]')
    elif isinstance(space, spaces.Tuple):
      if not isinstance(value, (tuple, list)) or len(value) != len(space):
        raise self._error(where, f'a tuple of {len(space)}', value)
      for i, (part, one) in enumerate(zip(space, value)):
        yield from self._flat_parts(part, one, f'{where}[{i}]')
    else:
      array = self._checked_array(space, value, where)
      if isinstance(space, spaces.Discrete):
        is_whole = array.dtype.kind in 'iu'
        index = int(array) - int(space.start) if is_whole else -1
        if not 0 <= index < space.n:
          raise self._error(where, f'an element of {space}', value)
        array = np.zeros(int(space.n), np.float32)
        array[index] = 1
      yield array.reshape(-1)

  def _checked_array(self, space: spaces.Space, value: Any, where: str) -> np.ndarray:
    try:
      array = np.asarray(value)
    except ValueError:  # Lists of different lengths.
      raise self._error(where, f'numbers of shape {space.shape}', value) from None
    if array.dtype.kind not in 'fiub':
      raise self._error(where, f'numbers of shape {space.shape}', value)
    if array.shape != space.shape:
      raise self._error(where, f'of shape {space.shape}', value, f'shape {array.shape}')
    return array

  def _error(
    self, where: str, expected: str, value: Any, found: str = ''
  ) -> BadReturnError:
    found = found or f'{type(value).__name__} {value!r:.200}'
    return BadReturnError(
      f'observation{where} of {self._name!r} must be {expected}, as its space says, '
      f'got {found}'
    )


def _parts(space: spaces.Space, where: str = '') -> Iterator[tuple[spaces.Space, str]]:
  """Yields the spaces that are no Dict and no Tuple, and how they are reached."""
  if isinstance(space, spaces.Dict):
    for key, part in space.items():
      yield from _parts(part, f'{where}[{key!r}]')
  elif isinstance(space, spaces.Tuple):
    for i, part in enumerate(space):
      yield from _parts(part, f'{where}[{i}]')
  else:
    yield space, where


def _size(name: str, space: spaces.Space, where: str) -> int:
  """Returns how many numbers a part becomes.

  Raises:
    ValueError: it is not supported.
  """
  which = f'the observation space of {name!r}' + (where and f', at {where},')
  if isinstance(space, spaces.Discrete):
    size, is_float = int(space.n), False
  elif isinstance(space, spaces.Box) and space.dtype.kind in 'fiub':
    size, is_float = math.prod(space.shape), space.dtype.kind == 'f'
    if len(space.shape) == 3 and sorted(space.shape)[1] >= _IMAGE_SIDE:
      raise ValueError(
        f'{which} is an image of shape {space.shape}; images are not supported: wrap '
        'the environment so that it returns features'
      )
  else:
    raise ValueError(
      f'{which} must be made of Box and Discrete spaces, in Dict and Tuple if need be, '
      f'got {space}'
    )
  if not is_float and size > _MOST_INTEGERS:
    raise ValueError(
      f'{which} has {size:,} numbers; of integers at most {_MOST_INTEGERS:,} are '
      f'supported, got {space}'
    )
  return size
