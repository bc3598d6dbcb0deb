"""Transitions: n-step ones from an episode, and each as one flat row.

Reverb's cost is by the column and the learner's by the array, so they move one array.
Packing is lossless: rows are float32 if every array of a transition is, else bytes.
"""

import dataclasses
from collections import deque
from typing import Any, NamedTuple

import dm_env
import jax
import numpy as np


class Transition(NamedTuple):
  """A batch of transitions.

  Attributes:
    observation: s, a nest of arrays [B, ...].
    action: a, in the environment's units, [B, D].
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
    dtype: of a row: float32, or uint8 if any array of a transition is not float32.
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
    self._is_bytes = not is_float32
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
          f'A transition has an array of shape {array.shape}; the environment '
          f'spec says {field.shape}.'
        )
      # Bytes of a strided array, such as a slice of a larger one, cannot be viewed.
      flat = np.ascontiguousarray(array).reshape(-1)
      row[field.start : field.stop] = flat.view(self.dtype)
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
      columns = np.ascontiguousarray(leaf).reshape(len(rows), -1)
      rows[:, field.start : field.stop] = columns.view(self.dtype)
    return rows

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
