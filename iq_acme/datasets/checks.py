"""Holds foreign arrays against an environment's specs."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from iq_acme.transitions import Transition

# Of a bound's width: what float32 and a change of units may round an action by.
_ROUNDING = 1e-5


def named_leaves(transition: Transition) -> list[tuple[str, Any]]:
  """Returns the leaves of a transition by the names that its arrays have in a file.

  Args:
    transition: of arrays or of specs.

  Returns:
    Such as ('observation', leaf); of nested observations such as ('observation/arm',
    leaf), of tuples the index in the key's place.
  """
  return [
    ('/'.join([field, *map(_key, path)]), leaf)
    for field, nest in transition._asdict().items()
    for path, leaf in jax.tree_util.tree_flatten_with_path(nest)[0]
  ]


def check_arrays(
  source: str, arrays: Mapping[str, np.ndarray], environment_spec: Any
) -> Transition:
  """Returns arrays as transitions of an environment, after checking every one.

  Args:
    source: where they are from, for messages.
    arrays: by the names of `named_leaves`, [N, ...]; others are left alone.
    environment_spec: the environment's specs.

  Returns:
    Transitions [N, ...] of the specs' dtypes. Actions that rounding has brought beyond
    their bounds are the bounds.

  Raises:
    ValueError: naming the array, what it is and what it must be.
  """
  spec = Transition(
    observation=environment_spec.observations,
    action=environment_spec.actions,
    reward=environment_spec.rewards,
    discount=environment_spec.discounts,
    next_observation=environment_spec.observations,
  )
  names = [name for name, _ in named_leaves(spec)]
  if missing := [name for name in names if name not in arrays]:
    raise ValueError(
      f'{source} has no array {missing[0]!r}; it needs {", ".join(names)}, and has '
      f'{", ".join(sorted(arrays)) or "none"}.'
    )
  count = np.shape(arrays['reward'])[0] if np.ndim(arrays['reward']) else 0
  if count == 0:
    raise ValueError(f'{source} holds no transitions: its reward must be [N].')
  leaves = []
  for name, leaf in named_leaves(spec):
    array = _checked(f'{source}: {name}', arrays[name], leaf, count)
    if name in ('action', 'discount'):
      array = _within_bounds(f'{source}: {name}', array, leaf)
    leaves.append(np.asarray(array, leaf.dtype))
  if 'last' in arrays and np.shape(arrays['last']) != (count,):
    raise ValueError(
      f'{source}: last has shape {np.shape(arrays["last"])}; it must be ({count},), as '
      'reward is.'
    )
  return jax.tree.unflatten(jax.tree.structure(spec), leaves)


def _checked(what: str, array: np.ndarray, spec: Any, count: int) -> np.ndarray:
  """Returns the array if shape and dtype fit and it is finite, in the dtype it has."""
  expected = (count, *spec.shape)
  if array.shape != expected:
    raise ValueError(
      f'{what} has shape {array.shape}; it must be {expected}: a row for each '
      f"transition, each of the environment's shape {spec.shape}."
    )
  dtype = np.dtype(spec.dtype)
  if array.dtype.kind not in 'fiub' or not np.can_cast(array.dtype, dtype, 'same_kind'):
    raise ValueError(
      f'{what} has dtype {array.dtype}; it must be {dtype.name}, or what casts to it.'
    )
  with np.errstate(over='ignore'):  # What the dtype cannot hold is infinite in it.
    bad = ~np.isfinite(array.astype(dtype))
  if bad.any():
    row = int(np.argwhere(bad)[0][0])
    raise ValueError(
      f'{what} is not finite in row {row}: {array[row]}; one such number would spoil '
      'the networks.'
    )
  return array


def _within_bounds(what: str, array: np.ndarray, spec: Any) -> np.ndarray:
  """Returns the array within its spec's bounds, to which rounding is corrected."""
  if not hasattr(spec, 'minimum'):
    return array
  minimum, maximum = (
    np.broadcast_to(x, spec.shape) for x in (spec.minimum, spec.maximum)
  )
  slack = _ROUNDING * (maximum - minimum)
  beyond = (array < minimum - slack) | (array > maximum + slack)
  if beyond.any():
    row = int(np.argwhere(beyond)[0][0])
    raise ValueError(
      f'{what} is {array[row]} in row {row}, beyond the bounds [{spec.minimum}, '
      f'{spec.maximum}] of the environment: it has other units, or is to be clipped as '
      'the environment that it is from clipped it.'
    )
  return np.clip(array, minimum, maximum)


def _key(key: Any) -> str:
  return jax.tree_util.keystr((key,), simple=True)
