"""Takes an environment's spec, and checks that it is one the agent can learn."""

from typing import Any, NamedTuple

import dm_env
import jax
import numpy as np
from dm_env import specs


class EnvironmentSpec(NamedTuple):
  """An environment's specs, as `acme.specs.EnvironmentSpec`, but without Acme.

  Attributes:
    observations: a nest of dm_env specs.
    actions: a bounded spec of an action vector [D].
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
      one float action vector [D] with finite bounds, minimum below maximum,
      observations that are float vectors or scalars, possibly nested, and one float
      scalar each as reward and discount.
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


def _check_action_spec(action: Any) -> None:
  if not hasattr(action, 'shape'):
    raise ValueError(
      f'The action spec is nested ({action!r}); IQ needs one flat vector of actions.'
    )
  if not np.issubdtype(action.dtype, np.floating):
    raise ValueError(
      f'The action spec has dtype {np.dtype(action.dtype).name} ({action!r}); IQ '
      'discretises continuous actions itself and needs a float vector.'
    )
  if len(action.shape) != 1 or action.shape[0] == 0:
    raise ValueError(
      f'The action spec has shape {action.shape}; IQ needs a non-empty vector [D].'
    )
  if not (hasattr(action, 'minimum') and hasattr(action, 'maximum')):
    raise ValueError(
      f'The action spec has no bounds ({action!r}); IQ needs a BoundedArray.'
    )
  minimum = np.broadcast_to(action.minimum, action.shape)
  maximum = np.broadcast_to(action.maximum, action.shape)
  with np.errstate(over='ignore', invalid='ignore'):
    # In float32, which the networks compute in: the largest float is no bound there.
    width = maximum.astype(np.float32) - minimum.astype(np.float32)
  for i, (low, high) in enumerate(zip(minimum, maximum)):
    if not (np.isfinite(width[i]) and width[i] > 0):
      raise ValueError(
        f'Action dimension {i} is bounded by [{low}, {high}]; the bounds must be '
        'finite, the minimum below the maximum, and so in float32.'
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
