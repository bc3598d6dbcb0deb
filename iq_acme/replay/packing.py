"""A transition as one flat row, so that Reverb and the learner move one array.

Reverb's cost is by the column and the learner's by the array. Packing is lossless:
rows are float32 where every array of a transition is, and plain bytes otherwise.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from iq_acme.update import Transition


@dataclasses.dataclass(frozen=True)
class _Field:
  """Where one array of a transition lies in a row."""

  start: int
  stop: int
  shape: tuple[int, ...]
  dtype: np.dtype


class TransitionPacking:
  """How the transitions of one environment are laid out in rows.

  A row holds, in this order, the leaves of the observation, the action, the reward,
  the discount, and the leaves of the next observation.

  Attributes:
    dtype: of a row: float32, or uint8 where any array of a transition is not float32.
    width: elements of a row.
    num_bytes: bytes of a row, that is, of a stored transition.
  """

  def __init__(self, environment_spec: Any):
    """Lays rows out.

    Args:
      environment_spec: an `acme.specs.EnvironmentSpec`; arrays are expected in, and
        given back with, its shapes and dtypes.
    """
    template = Transition(
      observation=environment_spec.observations,
      action=environment_spec.actions,
      reward=environment_spec.rewards,
      discount=environment_spec.discounts,
      next_observation=environment_spec.observations,
    )
    leaves, self._structure = jax.tree.flatten(template)
    is_float32 = all(np.dtype(leaf.dtype) == np.float32 for leaf in leaves)
    self.dtype = np.dtype(np.float32 if is_float32 else np.uint8)
    self._fields: list[_Field] = []
    start = 0
    for leaf in leaves:
      num_bytes = int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
      stop = start + num_bytes // self.dtype.itemsize
      self._fields.append(_Field(start, stop, leaf.shape, np.dtype(leaf.dtype)))
      start = stop
    self.width = start
    self.num_bytes = start * self.dtype.itemsize

  def pack(self, transition: Transition) -> np.ndarray:
    """Packs one transition, on the host.

    Args:
      transition: arrays of the spec's shapes; numbers of other dtypes are cast to the
        spec's, as assigning to an array of the spec would.

    Returns:
      A row, shape [width].
    """
    row = np.empty(self.width, self.dtype)
    for field, leaf in zip(self._fields, self._structure.flatten_up_to(transition)):
      array = np.asarray(leaf, field.dtype)
      if array.shape != field.shape:
        raise ValueError(
          f'A transition has an array of shape {array.shape} where the environment '
          f'spec says {field.shape}.'
        )
      # Bytes of a strided array, such as a slice of a larger one, cannot be viewed.
      flat = np.ascontiguousarray(array).reshape(-1)
      row[field.start : field.stop] = flat.view(self.dtype)
    return row

  def unpack(self, rows: Any) -> Transition:
    """Unpacks a batch of rows.

    Rows of float32 may be numpy or JAX arrays, so that this can be jitted with what
    uses the transitions. Rows of bytes are read by numpy, which has every dtype.

    Args:
      rows: packed transitions, shape [B, width].

    Returns:
      The transitions, arrays [B, ...] of the spec's shapes and dtypes.
    """
    leaves = []
    for field in self._fields:
      columns = rows[:, field.start : field.stop]
      if columns.dtype != field.dtype:
        columns = np.ascontiguousarray(columns).view(field.dtype)
      leaves.append(columns.reshape(rows.shape[0], *field.shape))
    return jax.tree.unflatten(self._structure, leaves)
