"""Transitions: n-step ones from an episode, and each as one flat row.

Reverb's cost is by the column and the learner's by the array, so they move one array.
Packing is lossless: rows are float32 if float32 has every number of a transition, else
bytes.
"""

import dataclasses
import math
from collections import deque
from typing import Any, NamedTuple

import dm_env
import jax
import numpy as np

from iq_acme.spec_checks import is_integer


class Transition(NamedTuple):
  """A batch of transitions.

  Attributes:
    observation: s, a nest of arrays [B, ...].
    action: a, in the environment's units, [B, *shape].
    reward: r, [B]; discounted and summed over the steps of an n-step transition.
    discount: the environment's own discount (0 if the episode terminated) times
      gamma^(n - 1), [B]; the update multiplies it by one more gamma.
    next_observation: s', a nest of arrays [B, ...].
  """

  observation: Any
  action: jax.Array
  reward: jax.Array
  discount: jax.Array
  next_observation: Any


@dataclasses.dataclass(frozen=True)
class _Field:
  """Where one array of a transition lies in a row, and how it is given back."""

  start: int
  stop: int
  shape: tuple[int, ...]
  dtype: np.dtype


class TransitionPacking:
  """How the transitions of one environment are laid out in rows.

  A row holds, in this order, the leaves of the observation, the action, the reward,
  the discount, and the leaves of the next observation.

  Attributes:
    dtype: of a row: float32 if every array of a transition is, but for actions, which
      may be integers; else uint8.
    width: elements of a row.
    num_bytes: bytes of a row, that is, of a stored transition.
  """

  def __init__(self, environment_spec: Any):
    """Lays rows out.

    Args:
      environment_spec: an `acme.specs.EnvironmentSpec` that `spec_checks` accepts;
        arrays are expected in, and given back with, its shapes and dtypes. Integers are
        given back as int32.
    """
    template = Transition(
      observation=environment_spec.observations,
      action=environment_spec.actions,
      reward=environment_spec.rewards,
      discount=environment_spec.discounts,
      next_observation=environment_spec.observations,
    )
    leaves, self._structure = jax.tree.flatten(template)
    # JAX has no wider integers, and needs none: no action is beyond 2**24.
    dtypes = [np.dtype(np.int32 if is_integer(x) else x.dtype) for x in leaves]
    self._is_bytes = not all(x in (np.float32, np.int32) for x in dtypes)
    self.dtype = np.dtype(np.uint8 if self._is_bytes else np.float32)
    self._fields: list[_Field] = []
    start = 0
    for leaf, dtype in zip(leaves, dtypes):
      stop = start + math.prod(leaf.shape) * (dtype.itemsize if self._is_bytes else 1)
      self._fields.append(_Field(start, stop, leaf.shape, dtype))
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

    Raises:
      ValueError: if an array has another shape, or is of floats instead of integers.
    """
    row = np.empty(self.width, self.dtype)
    for field, leaf in zip(self._fields, self._structure.flatten_up_to(transition)):
      if field.dtype == np.int32 and np.asarray(leaf).dtype.kind not in 'biu':
        raise ValueError(
          f'A transition has the action {leaf!r}; the environment spec says integers.'
        )
      array = np.asarray(leaf, field.dtype)
      if array.shape != field.shape:
        raise ValueError(
          f'A transition has an array of shape {array.shape}; the environment '
          f'spec says {field.shape}.'
        )
      # Bytes of a strided array, such as a slice of a larger one, cannot be viewed.
      flat = np.ascontiguousarray(array).reshape(-1)
      row[field.start : field.stop] = flat.view(np.uint8) if self._is_bytes else flat
    return row

  def pack_batch(self, transitions: Transition) -> np.ndarray:
    """Packs transitions, on the host.

    Args:
      transitions: arrays [N, ...] of the spec's shapes and dtypes.

    Returns:
      Rows, [N, width].
    """
    leaves = self._structure.flatten_up_to(transitions)
    rows = np.empty((len(transitions.reward), self.width), self.dtype)
    for field, leaf in zip(self._fields, leaves):
      columns = np.ascontiguousarray(leaf, field.dtype).reshape(len(rows), -1)
      if self._is_bytes:
        columns = columns.view(np.uint8)
      rows[:, field.start : field.stop] = columns
    return rows

  def unpack(self, rows: Any) -> Transition:
    """Unpacks a batch of rows.

    Rows of float32 may be numpy or JAX arrays, so that this can be jitted with what
    uses the transitions. Rows of bytes are read by numpy, which has every dtype.

    Args:
      rows: packed transitions, shape [B, width].

    Returns:
      The transitions, arrays [B, ...] of the spec's shapes and dtypes, integers as int32.
    """
    leaves = []
    for field in self._fields:
      columns = rows[:, field.start : field.stop]
      if self._is_bytes:
        columns = np.ascontiguousarray(columns).view(field.dtype)
      elif field.dtype != columns.dtype:
        columns = columns.astype(field.dtype)  # Integers, which lie there as numbers.
      leaves.append(columns.reshape(rows.shape[0], *field.shape))
    return jax.tree.unflatten(self._structure, leaves)

  def unpack_on_host(self, rows: Any) -> Any:
    """Returns rows of float32 as they are, and rows of bytes unpacked."""
    return self.unpack(rows) if self._is_bytes else rows

  def unpack_in_update(self, data: Any) -> Transition:
    """Returns the transitions of what `unpack_on_host` returned; it can be jitted."""
    return data if self._is_bytes else self.unpack(data)


class NStepTransitions:
  """Forms the transitions of an episode, like Acme's `NStepTransitionAdder`.

  At the start of an episode they are (s_0 -> s_1), (s_0 -> s_2), ... up to n steps, then
  one of n steps per environment step, and at the end the shorter ones that arrive in the
  last state.
  """

  def __init__(self, n_step: int, discount: float):
    """Begins before the first episode.

    Args:
      n_step: environment steps per transition.
      discount: the agent's discount, within a transition of several steps.
    """
    self._discount = np.float32(discount)
    # (observation, action, reward, discount) of the last n steps.
    self._steps: deque[tuple[Any, Any, Any, Any]] = deque(maxlen=n_step)
    self._observation: Any = None

  def reset(self) -> None:
    """Forgets the episode under way."""
    self._steps.clear()
    self._observation = None

  def add_first(self, timestep: dm_env.TimeStep) -> None:
    """Begins an episode."""
    if not timestep.first():
      raise ValueError('add_first needs the first timestep of an episode.')
    self._steps.clear()
    # A copy, for environments may write the next observation over this one.
    self._observation = jax.tree.map(np.array, timestep.observation)

  def add(self, action: Any, next_timestep: dm_env.TimeStep) -> list[Transition]:
    """Returns the transitions that arrive in the next observation."""
    if self._observation is None:
      raise ValueError('add_first must be called before add.')
    self._steps.append(
      (self._observation, action, next_timestep.reward, next_timestep.discount)
    )
    self._observation = jax.tree.map(np.array, next_timestep.observation)
    transitions = [self._transition()]
    if next_timestep.last():
      while len(self._steps) > 1:
        self._steps.popleft()
        transitions.append(self._transition())
      self.reset()
    return transitions

  def _transition(self) -> Transition:
    """Returns the transition from the first kept step to the newest observation."""
    observation, action, reward, discount = self._steps[0]
    for i in range(1, len(self._steps)):
      _, _, next_reward, next_discount = self._steps[i]
      # One discount fewer than steps: the update multiplies by one more.
      discount = discount * self._discount
      reward = reward + next_reward * discount
      discount = discount * next_discount
    return Transition(observation, action, reward, discount, self._observation)
