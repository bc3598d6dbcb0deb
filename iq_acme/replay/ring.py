"""The last transitions in one preallocated array, sampled where the learner is.

`HostRing` lies in the host's memory, `DeviceRing` in an accelerator's, where only new
transitions cross the bus. Both are uniform over the last `capacity` rows.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

# Keeps a ring's keys apart from those that an agent of its seed splits off the seed's own,
# the i-th of which is what i folds in: a number beyond all such i.
_RING_STREAM = 0x52494E47


class Ring(Protocol):
  """A FIFO of rows that samples uniformly, with replacement, from a seed.

  Attributes:
    size: rows in it.
  """

  size: int

  def append(self, rows: np.ndarray) -> None:
    """Adds rows [N, width]; the oldest leave beyond the capacity."""

  def sample(self, num_rows: int) -> Any:
    """Returns rows drawn uniformly, [num_rows, width]."""

  def segments(self) -> list[np.ndarray]:
    """Returns every row, oldest first, in one or two arrays [N, width]."""

  def random_state(self) -> dict[str, Any]:
    """Returns the sampler's state, as JSON can hold it."""

  def restore(self, rows: np.ndarray, random_state: dict[str, Any]) -> None:
    """Replaces everything by what `segments` and `random_state` returned.

    Of more rows than the capacity the newest stay. The state of another class of ring
    restarts the sampler from its seed, for the two draw from different generators.
    """


class HostRing:
  """A ring of numpy rows; memory is taken as it fills."""

  def __init__(self, capacity: int, width: int, dtype: np.dtype, seed: int):
    """Creates an empty ring.

    Args:
      capacity: rows kept.
      width: elements of a row.
      dtype: of a row.
      seed: of the sampler.
    """
    self._rows = np.empty((capacity, width), dtype)
    self._next = 0
    self._seed = seed
    self._random = np.random.default_rng(seed)
    self.size = 0

  def append(self, rows: np.ndarray) -> None:
    capacity = len(self._rows)
    rows = rows[-capacity:]
    end = min(self._next + len(rows), capacity)
    first = end - self._next
    self._rows[self._next : end] = rows[:first]
    self._rows[: len(rows) - first] = rows[first:]
    self._next = (self._next + len(rows)) % capacity
    self.size = min(self.size + len(rows), capacity)

  def sample(self, num_rows: int) -> np.ndarray:
    return self._rows.take(self._random.integers(self.size, size=num_rows), axis=0)

  def segments(self) -> list[np.ndarray]:
    return _segments(self._rows, self.size, self._next)

  def random_state(self) -> dict[str, Any]:
    return self._random.bit_generator.state

  def restore(self, rows: np.ndarray, random_state: dict[str, Any]) -> None:
    self.size = self._next = 0
    self.append(rows)
    if _is_state_of(random_state, 'bit_generator'):
      self._random.bit_generator.state = random_state
    else:
      self._random = np.random.default_rng(self._seed)


class DeviceRing:
  """A ring in an accelerator's memory; sampling is a jitted gather there."""

  # Rows go over in blocks of this many, so that one shape is compiled.
  _BLOCK = 8

  def __init__(self, capacity: int, width: int, dtype: np.dtype, seed: int):
    """Creates an empty ring on JAX's default device.

    Args:
      capacity: rows kept.
      width: elements of a row.
      dtype: of a row; one that JAX has.
      seed: of the sampler.
    """
    self._rows = jnp.zeros((capacity, width), dtype)
    self._capacity = capacity
    self._next = 0
    self._seed = seed
    self._key = _first_key(seed)
    self.size = 0
    self._write = jax.jit(_write_rows, donate_argnums=0)
    self._gather = jax.jit(_sample_rows, static_argnums=3)

  def append(self, rows: np.ndarray) -> None:
    rows = rows[-self._capacity :]
    for start in range(0, len(rows), self._BLOCK):
      block = rows[start : start + self._BLOCK]
      count = len(block)
      padded = np.zeros((self._BLOCK, rows.shape[1]), rows.dtype)
      padded[:count] = block
      self._rows = self._write(self._rows, padded, self._next, count)
      self._next = (self._next + count) % self._capacity
      self.size = min(self.size + count, self._capacity)

  def sample(self, num_rows: int) -> jax.Array:
    self._key, rows = self._gather(self._key, self._rows, self.size, num_rows)
    return rows

  def segments(self) -> list[np.ndarray]:
    if self.size < self._capacity:  # Rows that were never written stay where they are.
      return [np.asarray(self._rows[: self.size])]
    return _segments(np.asarray(self._rows), self.size, self._next)

  def random_state(self) -> dict[str, Any]:
    return {'key': np.asarray(self._key).tolist()}

  def restore(self, rows: np.ndarray, random_state: dict[str, Any]) -> None:
    rows = rows[-self._capacity :]
    padded = np.zeros(self._rows.shape, self._rows.dtype)
    padded[: len(rows)] = rows
    self._rows.delete()  # There may be no room for two.
    self._rows = jnp.asarray(padded)
    self.size = len(rows)
    self._next = len(rows) % self._capacity
    if _is_state_of(random_state, 'key'):
      self._key = jnp.asarray(random_state['key'], jnp.uint32)
    else:
      self._key = _first_key(self._seed)


def make_ring(capacity: int, width: int, dtype: np.dtype, seed: int) -> Ring:
  """Makes a ring beside the learner: on the accelerator, if there is one.

  Rows of bytes stay on the host, where numpy can read every dtype in them.

  Args:
    capacity: rows kept.
    width: elements of a row.
    dtype: of a row.
    seed: of the sampler.

  Returns:
    An empty ring.
  """
  on_device = jax.default_backend() != 'cpu' and dtype == np.float32
  return (DeviceRing if on_device else HostRing)(capacity, width, dtype, seed)


def _is_state_of(random_state: dict[str, Any], entry: str) -> bool:
  """Returns whether a sampler's state has the entry that tells whose it is."""
  if entry in random_state:
    return True
  logging.warning(
    'Replay was saved beside another kind of processor: its transitions are restored, '
    'and batches are drawn from the seed anew.'
  )
  return False


def _segments(rows: np.ndarray, size: int, start: int) -> list[np.ndarray]:
  """Returns the rows of a ring from oldest to newest, as views."""
  if size < len(rows):
    return [rows[:size]]
  return [rows[start:], rows[:start]]


def _first_key(seed: int) -> jax.Array:
  return jax.random.fold_in(jax.random.PRNGKey(seed), _RING_STREAM)


def _write_rows(
  ring: jax.Array, block: jax.Array, start: jax.Array, count: jax.Array
) -> jax.Array:
  """Writes the first `count` rows of a block from `start` on, around the end."""
  offset = jnp.arange(block.shape[0])
  index = jnp.where(offset < count, (start + offset) % ring.shape[0], ring.shape[0])
  return ring.at[index].set(block, mode='drop')


def _sample_rows(
  key: jax.Array, ring: jax.Array, size: jax.Array, num_rows: int
) -> tuple[jax.Array, jax.Array]:
  key, sample_key = jax.random.split(key)
  index = jax.random.randint(sample_key, (num_rows,), 0, size)
  return key, ring[index]
