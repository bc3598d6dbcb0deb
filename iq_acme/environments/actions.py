"""Actions of any supported space as bounded arrays, and back as the suite takes them."""

import math
from typing import Any

import gymnasium
import numpy as np
from dm_env import specs
from gymnasium import spaces

# Replay keeps float32, which has every integer up to here.
_MOST_INTEGER = 2**24


class OwnActions:
  """Brings actions into the dtype and the bounds that a suite's environment has.

  Attributes:
    spec: what the agent's actions are: float32 [D] with the suite's bounds, or int32 of
      its shape.
  """

  def __init__(self, name: str, minimum: np.ndarray, maximum: np.ndarray):
    """Makes the spec.

    Args:
      name: the task, for messages.
      minimum: the least action, in the shape and dtype that the suite takes.
      maximum: the largest.

    Raises:
      ValueError: floats are no vector, or of a dimension the bounds are not finite or
        leave nothing to choose from.
    """
    self._minimum, self._maximum = np.asarray(minimum), np.asarray(maximum)
    self._is_integer = self._minimum.dtype.kind in 'iu'
    make_spec = _integer_spec if self._is_integer else _float_spec
    self.spec = make_spec(name, self._minimum, self._maximum)

  def __call__(self, action: Any) -> np.ndarray:
    """Returns a copy in the suite's dtype and bounds, which the caller's may not be.

    Float32, which the agent computes in, rounds a float64 bound to either side of it.

    Args:
      action: of the spec's shape; what lies outside the bounds is set to them.

    Returns:
      An array, or of shape () a NumPy number, which can be a key as Python's can.

    Raises:
      ValueError: `action` is of another shape, has a NaN, or floats for integers.
    """
    if self._is_integer:
      action = np.asarray(action)
      if action.dtype.kind not in 'biu':
        raise ValueError(f'action must be of integers, got {action!r:.200}')
      self._check_shape(action)
      # Before the dtype is the suite's, which may be too small for what is outside.
      return np.clip(action, self._minimum, self._maximum).astype(self._minimum.dtype)
    action = np.array(action, self._minimum.dtype)
    self._check_shape(action)
    np.maximum(action, self._minimum, out=action)
    np.minimum(action, self._maximum, out=action)
    if math.isnan(action.dot(action)):
      raise ValueError(f'action must have no NaN, got {action}')
    return action

  def _check_shape(self, action: np.ndarray) -> None:
    if action.shape != self._minimum.shape:
      raise ValueError(
        f'action must have shape {self._minimum.shape}, got {action.shape}'
      )


def bounds_of_space(name: str, space: gymnasium.Space) -> tuple[np.ndarray, np.ndarray]:
  """Returns the least and the largest action of a space, in its shape and dtype.

  Args:
    name: the task, for messages.
    space: of actions.

  Raises:
    ValueError: it is no Box of numbers, Discrete, MultiDiscrete or MultiBinary.
  """
  if isinstance(space, spaces.Box) and space.dtype.kind in 'fiu':
    return space.low, space.high
  if isinstance(space, spaces.MultiBinary):
    return np.zeros(space.shape, space.dtype), np.ones(space.shape, space.dtype)
  if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
    num_values = space.n if isinstance(space, spaces.Discrete) else space.nvec
    minimum = np.asarray(space.start, space.dtype)
    return minimum, np.asarray(minimum + (num_values - 1), space.dtype)
  raise ValueError(
    f'the action space of {name!r} must be a Box of numbers, Discrete, MultiDiscrete or '
    f'MultiBinary, got {space}'
  )


def _float_spec(
  name: str, minimum: np.ndarray, maximum: np.ndarray
) -> specs.BoundedArray:
  minimum, maximum = np.float32(minimum), np.float32(maximum)
  if minimum.ndim != 1 or minimum.size == 0:
    raise ValueError(
      f'the action space of {name!r} must be one non-empty vector, got shape '
      f'{minimum.shape}'
    )
  for i, (low, high) in enumerate(zip(minimum, maximum)):
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
      raise ValueError(
        f'the action space of {name!r} must have finite bounds with minimum < maximum '
        f'in every dimension, got [{low}, {high}] in dimension {i}'
      )
  return specs.BoundedArray(minimum.shape, np.float32, minimum, maximum, name='action')


def _integer_spec(
  name: str, minimum: np.ndarray, maximum: np.ndarray
) -> specs.BoundedArray:
  if minimum.size == 0:
    raise ValueError(
      f'the action space of {name!r} must have elements, got shape {minimum.shape}'
    )
  for i, (low, high) in enumerate(zip(minimum.flat, maximum.flat)):
    if not -_MOST_INTEGER <= low <= high <= _MOST_INTEGER:
      raise ValueError(
        f'the action space of {name!r} must have integers within {_MOST_INTEGER:,} of 0, '
        f'got [{low}, {high}] in dimension {i}'
      )
  if minimum.shape == () and minimum == 0:
    return specs.DiscreteArray(int(maximum) + 1, np.int32, name='action')
  return specs.BoundedArray(minimum.shape, np.int32, minimum, maximum, name='action')
