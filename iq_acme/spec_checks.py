"""Takes an environment's spec, and checks that it is one the agent can learn."""

from typing import Any, NamedTuple

import dm_env
import jax
import numpy as np
from dm_env import specs

# Up to here float32, which replay keeps, has every integer.
MOST_INTEGER = 2**24


class EnvironmentSpec(NamedTuple):
  """An environment's specs, as `acme.specs.EnvironmentSpec`, but without Acme.

  Attributes:
    observations: a nest of dm_env specs.
    actions: a bounded spec, of a vector [D] of floats or of integers of any shape.
    rewards: a scalar spec.
    discounts: a scalar spec.
  """

  observations: Any
  actions: Any
  rewards: Any = specs.Array((), np.float32, 'reward')
  discounts: Any = specs.BoundedArray((), np.float32, 0.0, 1.0, 'discount')


def make_environment_spec(environment: dm_env.Environment) -> EnvironmentSpec:
  """Asks an environment for its specs.

  Args:
    environment: whose nests of dm_env specs are taken.

  Returns:
    What networks and agents are made for.
  """
  return EnvironmentSpec(
    observations=environment.observation_spec(),
    actions=environment.action_spec(),
    rewards=environment.reward_spec(),
    discounts=environment.discount_spec(),
  )


def check_environment_spec(spec: Any) -> None:
  """Raises if an environment's spec is not one IQ can be built for.

  Args:
    spec: of `make_environment_spec` or Acme's, or anything with `observations` and
      `actions` of dm_env specs; `rewards` and `discounts` are checked if it has them.

  Raises:
    ValueError: naming the part of the spec, what it is, and what would be right:
      one action, a float vector [D] with finite bounds, minimum below maximum, or
      integers of any shape with bounds within `MOST_INTEGER` of 0; observations that
      are float vectors or scalars, possibly nested; and one float scalar each as reward
      and discount.
  """
  _check_action_spec(spec.actions)
  _check_observation_spec(spec.observations)
  for field in ('rewards', 'discounts'):
    if hasattr(spec, field):
      _check_scalar_spec(field.removesuffix('s'), getattr(spec, field))


def check_observation_structure(observation: Any, spec: Any) -> None:
  """Raises if an observation has another structure, or other shapes, than its spec.

  Args:
    observation: a nest of arrays.
    spec: a nest of specs.

  Raises:
    ValueError: naming what was found and what was expected. A dict is another structure
      than an `OrderedDict`, whose order the networks' inputs have; a dict's is that of
      its sorted keys.
  """
  found, expected = jax.tree.structure(observation), jax.tree.structure(spec)
  if found != expected:
    raise ValueError(f'The observation is {found}; this policy takes {expected}.')
  for array, leaf in zip(jax.tree.leaves(observation), jax.tree.leaves(spec)):
    if np.shape(array) != leaf.shape:
      raise ValueError(
        f'The observation has shape {np.shape(array)}; this policy takes {leaf.shape}.'
      )


def check_same_actions(action_spec: Any, expected: Any) -> None:
  """Raises if an environment does not take the actions that a policy gives.

  Args:
    action_spec: the environment's.
    expected: of the policy. Floats may have other bounds, which the environment sets
      them to; integers have meanings.

  Raises:
    ValueError: naming both.
  """
  if action_spec.shape != expected.shape:
    raise ValueError(
      f'The action has shape {action_spec.shape}; this policy gives {expected.shape}.'
    )
  same = is_integer(action_spec) == is_integer(expected)
  if same and is_integer(expected):
    same = np.all(action_spec.minimum == expected.minimum)
    same &= np.all(action_spec.maximum == expected.maximum)
  if not same:
    raise ValueError(
      f'The action spec is {action_spec!r}; this policy gives {expected!r}.'
    )


def is_integer(action_spec: Any) -> bool:
  """Returns whether actions are integers, each a value of its own."""
  return bool(np.issubdtype(action_spec.dtype, np.integer))


def check_continuous(action_spec: Any, algorithm: str) -> None:
  """Raises if actions are integers, for what is made for floats.

  Args:
    action_spec: one that `check_environment_spec` accepts.
    algorithm: what needs floats, as the error names it.

  Raises:
    ValueError: naming both.
  """
  if is_integer(action_spec):
    raise ValueError(
      f'The action spec is of integers ({action_spec!r}); {algorithm} takes floats '
      "alone. IQConfig.policy_family 'multicategorical' or 'autoregressive' takes both."
    )


def _check_action_spec(action: Any) -> None:
  if not hasattr(action, 'shape'):
    raise ValueError(
      f'The action spec is nested ({action!r}); IQ needs one flat vector of actions.'
    )
  is_float = np.issubdtype(action.dtype, np.floating)
  if not is_float and not is_integer(action):
    raise ValueError(
      f'The action spec has dtype {np.dtype(action.dtype).name} ({action!r}); IQ needs '
      'floats or integers.'
    )
  if is_float and (len(action.shape) != 1 or action.shape[0] == 0):
    raise ValueError(
      f'The action spec has shape {action.shape}; of floats IQ needs a non-empty vector '
      '[D].'
    )
  if 0 in action.shape:
    raise ValueError(
      f'The action spec has shape {action.shape}, which has no elements.'
    )
  if not (hasattr(action, 'minimum') and hasattr(action, 'maximum')):
    raise ValueError(
      f'The action spec has no bounds ({action!r}); IQ needs a BoundedArray.'
    )
  check = _check_float_bounds if is_float else _check_integer_bounds
  check(
    np.broadcast_to(action.minimum, action.shape).ravel(),
    np.broadcast_to(action.maximum, action.shape).ravel(),
  )


def _check_float_bounds(minimum: np.ndarray, maximum: np.ndarray) -> None:
  with np.errstate(over='ignore', invalid='ignore'):
    # In float32, which the networks compute in: the largest float is no bound there.
    width = maximum.astype(np.float32) - minimum.astype(np.float32)
  for i, (low, high) in enumerate(zip(minimum, maximum)):
    if not (np.isfinite(width[i]) and width[i] > 0):
      raise ValueError(
        f'Action dimension {i} is bounded by [{low}, {high}]; the bounds must be '
        'finite, the minimum below the maximum, and so in float32.'
      )


def _check_integer_bounds(minimum: np.ndarray, maximum: np.ndarray) -> None:
  for i, (low, high) in enumerate(zip(minimum.tolist(), maximum.tolist())):
    if not -MOST_INTEGER <= low <= high <= MOST_INTEGER:
      raise ValueError(
        f'Action dimension {i} is bounded by [{low}, {high}]; of integers the minimum '
        f'must not be above the maximum, and both within {MOST_INTEGER:,} of 0.'
      )
    if high - low >= MOST_INTEGER:
      raise ValueError(
        f'Action dimension {i} has {high - low + 1:,} values, from {low} to {high}; '
        f'each is an output of the policy, and there may be {MOST_INTEGER:,}.'
      )


def _check_observation_spec(observation: Any) -> None:
  leaves = jax.tree.leaves(observation)
  if not leaves:
    raise ValueError('The observation spec is empty; IQ needs at least one array.')
  for leaf in leaves:
    if len(leaf.shape) > 1:
      raise ValueError(
        f'An observation has shape {leaf.shape} ({leaf!r}); IQ takes vectors. '
        'Pixels and matrices need a network of their own or a flattening wrapper, '
        'such as iq_acme.environments.DmEnvironment.'
      )
    if not np.issubdtype(leaf.dtype, np.floating):
      raise ValueError(
        f'An observation has dtype {np.dtype(leaf.dtype).name} ({leaf!r}); IQ '
        'needs float observations: convert it in a wrapper, such as '
        'iq_acme.environments.DmEnvironment.'
      )
  if sum(int(np.prod(leaf.shape)) for leaf in leaves) == 0:
    raise ValueError('The observation spec has no elements; IQ needs at least one.')


def _check_scalar_spec(what: str, spec: Any) -> None:
  if not hasattr(spec, 'shape'):
    raise ValueError(
      f'The {what} spec is nested or missing ({spec!r}); IQ needs one float scalar.'
    )
  if spec.shape != ():
    raise ValueError(
      f'The {what} spec has shape {spec.shape} ({spec!r}); IQ needs one float scalar.'
    )
  if not np.issubdtype(spec.dtype, np.floating):
    raise ValueError(
      f'The {what} spec has dtype {np.dtype(spec.dtype).name} ({spec!r}); IQ needs a '
      'float scalar, for replay would round what lies between integers.'
    )
