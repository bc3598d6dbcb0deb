"""The values of each action dimension: what the families of softmaxes are over.

Shapes: B batch, D action dimensions, n values of the dimension that has most.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iq_acme.config import IQConfig
from iq_acme.policies import base
from iq_acme.spec_checks import is_integer

# The logit of a value that does not exist. Finite, for an infinite one would make
# gradients and entropies NaN; its probability is 0 all the same.
NO_LOGIT = -1e9


class Grid:
  """Finitely many actions: one of the values of each dimension.

  Attributes:
    num_values: how many values each dimension has, int32 [D].
    exists: which of n values each dimension has, bool [D, n].
    values: in the environment's units, float32 or int32 [D, n].
  """

  def __init__(self, action_spec: Any, config: IQConfig):
    """Lays the values out.

    Args:
      action_spec: bounded, as `spec_checks` accepts it. Integers are values as they
        are, in D = 1 dimension if the shape is (). The range of a float is cut evenly.
      config: with `num_action_values`, how many values a float has.
    """
    self._shape = tuple(action_spec.shape)
    self._is_integer = is_integer(action_spec)
    self._minimum, self._maximum = base.action_bounds(action_spec)
    self.num_values = count_values(action_spec, config).astype(np.int32)
    offsets = np.arange(self.num_values.max())
    self.exists = offsets < self.num_values[:, None]
    if self._is_integer:
      self._minimum, self._maximum = (
        bound.astype(np.int32).reshape(-1) for bound in (self._minimum, self._maximum)
      )
      self.values = self._minimum[:, None] + offsets.astype(np.int32)
    else:
      self.values = action_values(self._minimum, self._maximum, len(offsets))

  def to_index(self, action: jax.Array) -> jax.Array:
    """Returns which values actions are, per dimension.

    Args:
      action: in the environment's units, [B, *shape].

    Returns:
      int32 [B, D], in [0, `num_values`): of the nearest value, so that an action outside
      the bounds maps to the end point it is beyond.
    """
    if not self._is_integer:
      num_values = self.values.shape[1]
      return action_to_index(action, self._minimum, self._maximum, num_values)
    action = action.reshape(action.shape[0], -1)
    return jnp.clip(action, self._minimum, self._maximum) - self._minimum

  def to_action(self, index: jax.Array) -> jax.Array:
    """Returns the actions of indices [B, D], float32 or int32 [B, *shape]."""
    action = jnp.asarray(self.values)[jnp.arange(len(self.values)), index]  # [B, D]
    return action.reshape(-1, *self._shape)

  def to_logits(self, outputs: jax.Array) -> jax.Array:
    """Returns a network's outputs [B, D n] as logits [B, D, n].

    Those of values that do not exist are `NO_LOGIT`, and no gradient goes through them.
    """
    logits = outputs.reshape(-1, *self.exists.shape)
    return logits if self.exists.all() else jnp.where(self.exists, logits, NO_LOGIT)

  def sample_uniform(self, key: jax.Array, batch_size: int) -> jax.Array:
    """Returns actions [B, *shape], of which all are equally likely."""
    shape = (batch_size, len(self.num_values))
    return self.to_action(jax.random.randint(key, shape, 0, self.num_values))


def count_values(action_spec: Any, config: IQConfig) -> np.ndarray:
  """Returns how many values each dimension has, int64 [D].

  Args:
    action_spec: bounded.
    config: with `num_action_values`, how many values a float has.
  """
  if not is_integer(action_spec):
    return np.full(math.prod(action_spec.shape), config.num_action_values, np.int64)
  minimum, maximum = base.action_bounds(action_spec)
  return (maximum - minimum + 1).astype(np.int64).reshape(-1)


def action_values(
  minimum: np.ndarray, maximum: np.ndarray, num_values: int
) -> np.ndarray:
  """Returns the n values of each action dimension, evenly spaced, end points included.

  Value j of dimension i is minimum_i + j (maximum_i - minimum_i) / (n - 1).

  Args:
    minimum: lower bounds, shape [D], in the environment's units.
    maximum: upper bounds, shape [D].
    num_values: n, at least 2.

  Returns:
    A float32 array [D, n].
  """
  minimum = np.asarray(minimum, np.float64)
  maximum = np.asarray(maximum, np.float64)
  return np.linspace(minimum, maximum, num_values, axis=-1).astype(np.float32)


def action_to_index(
  action: jax.Array, minimum: jax.Array, maximum: jax.Array, num_values: int
) -> jax.Array:
  """Returns the index of the value nearest to an action, per dimension.

  Args:
    action: actions in the environment's units, shape [..., D].
    minimum: lower bounds, shape [D].
    maximum: upper bounds, shape [D].
    num_values: n.

  Returns:
    int32 indices in [0, n), shape [..., D]. An action outside the bounds maps to the
    end point it is beyond.
  """
  position = (action - minimum) / (maximum - minimum) * (num_values - 1)
  return jnp.clip(jnp.round(position), 0, num_values - 1).astype(jnp.int32)
