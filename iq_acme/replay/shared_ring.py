"""A ring of packed transitions that one side fills and the other samples."""

import json
import os
import threading
from typing import Any

import numpy as np
from absl import logging

from iq_acme.config import IQConfig
from iq_acme.replay.ring import Ring, make_ring
from iq_acme.transitions import TransitionPacking

_ROWS, _STATE = 'ring.bin', 'ring.json'
# How long a learner waits for a batch before a line in the log says what for.
PATIENCE_SECONDS = 60.0


def error_buffer(config: IQConfig) -> float:
  """Returns how far inserts * ratio and samples may drift apart, in samples."""
  ratio = config.sampled_per_step
  tolerance = config.samples_per_insert_tolerance_rate * config.min_replay_size * ratio
  # Below these, inserts and samples could each wait for the other for ever.
  batch_size = config.batch_size * config.num_sgd_steps_per_step
  return max(tolerance, 2 * max(1.0, ratio), 2.0 * batch_size)


def check_room(num_transitions: int, config: IQConfig) -> None:
  """Raises a ValueError if replay would drop some of these at once."""
  if num_transitions > config.max_replay_size:
    raise ValueError(
      f'max_replay_size is {config.max_replay_size:,}; it must be at least '
      f'{num_transitions:,}, the transitions that replay is to begin with.'
    )


def log_wait(seconds: float, description: str) -> None:
  """Says in the log what the learner waits for.

  Rate limiters that wait for one another are the most reported trouble with Reverb, and
  by themselves they wait in silence.
  """
  logging.warning(
    'The learner has waited for replay for %.0f s. It waits for %s',
    seconds,
    description,
  )


class RateLimiter:
  """Counts a ring's inserts and samples, and says which of them may go on.

  It is to a resident ring what Reverb's `SampleToInsertRatio` is to a table: after the
  first `min_replay_size` inserts, each insert pays for `samples_per_insert` samples,
  and either side may be ahead of the other by `error_buffer` samples.

  Attributes:
    inserted: transitions inserted, over all resumes.
    sampled: transitions sampled, over all resumes.
  """

  def __init__(self, config: IQConfig):
    """Starts at zero.

    Args:
      config: ratio, tolerance and the smallest replay that is sampled.
    """
    self._config = config
    self._error_buffer = error_buffer(config)
    self.inserted = self.sampled = 0

  @property
  def lead(self) -> float:
    """Samples that the inserts have paid for, less those taken."""
    paid = (
      self.inserted - self._config.min_replay_size
    ) * self._config.sampled_per_step
    return paid - self.sampled

  def can_insert(self, size: int) -> bool:
    """Returns whether a ring of so many transitions may take one more in."""
    return size < self._config.min_replay_size or self.lead <= self._error_buffer

  def can_sample(self, size: int, num_samples: int) -> bool:
    """Returns whether so many may be sampled from a ring of so many transitions."""
    if size < self._config.min_replay_size:
      return False
    return self.lead - num_samples >= -self._error_buffer

  def state(self) -> dict[str, int]:
    """Returns what `restore` needs, as JSON can hold it."""
    return {'inserted': self.inserted, 'sampled': self.sampled}

  def restore(self, state: dict[str, Any], size: int) -> None:
    """Goes on counting, for the ratio is to hold over the whole run.

    Args:
      state: what `state` returned.
      size: transitions in the restored ring.
    """
    self.inserted, self.sampled = state.get('inserted', 0), state.get('sampled', 0)
    # An insert that is let in at the limit goes beyond it by what it pays for.
    most = self._error_buffer + self._config.sampled_per_step
    if not -self._error_buffer <= self.lead <= most:
      # Saved under another ratio or by an older version. As if these were the first
      # inserts: a ring that was full enough still is.
      self.inserted = min(size, self._config.min_replay_size)
      self.sampled = 0

  def describe(self, size: int) -> str:
    """Says in words what a learner waits for."""
    return (
      f'transitions: the ring holds {size} of the {self._config.min_replay_size} it '
      f'takes to sample; {self.inserted} inserted and {self.sampled} sampled so far; '
      f'samples may lead by {self._error_buffer:g}, and lead by {-self.lead:g}.'
    )


class SharedRing:
  """A ring, its rate limiter, and a lock that guards both.

  Attributes:
    changed: the lock; whoever waits with it is woken by each `insert` and `sample`.
    limiter: counts inserts and samples; its word is asked for, not enforced.
  """

  def __init__(self, config: IQConfig, packing: TransitionPacking, seed: int):
    """Creates it; the ring takes no memory until it is used.

    Args:
      config: sizes and ratio.
      packing: the layout of a row.
      seed: of the ring's sampler.
    """
    self._config = config
    self._packing = packing
    self._seed = seed
    self._ring: Ring | None = None
    self.limiter = RateLimiter(config)
    self.changed = threading.Condition()
    self._limits_inserts = True

  # Layouts of many processes pickle a builder with its replay, before either is used.
  def __getstate__(self) -> dict[str, Any]:
    return {**vars(self), 'changed': None}  # A lock cannot be pickled.

  def __setstate__(self, state: dict[str, Any]) -> None:
    vars(self).update(state, changed=threading.Condition())

  @property
  def ring(self) -> Ring:
    """The ring itself, made when it is first asked for."""
    if self._ring is None:
      self._ring = make_ring(
        self._config.max_replay_size,
        self._packing.width,
        self._packing.dtype,
        self._seed,
      )
    return self._ring

  def can_insert(self) -> bool:
    """Returns whether the limiter lets one more transition in."""
    return not self._limits_inserts or self.limiter.can_insert(self.ring.size)

  def can_sample(self, num_rows: int) -> bool:
    """Returns whether the limiter lets so many transitions out."""
    return self.limiter.can_sample(self.ring.size, num_rows)

  def stop_limiting_inserts(self) -> None:
    """Lets in all that comes, from now on, whatever the ratio."""
    with self.changed:
      self._limits_inserts = False
      self.changed.notify_all()

  def insert(self, rows: np.ndarray) -> None:
    """Takes rows [N, width] in."""
    with self.changed:
      self.ring.append(rows)
      self.limiter.inserted += len(rows)
      self.changed.notify_all()

  def sample(self, num_rows: int) -> Any:
    """Returns rows drawn uniformly, [num_rows, width]."""
    with self.changed:
      rows = self.ring.sample(num_rows)
      self.limiter.sampled += num_rows
      self.changed.notify_all()
    return rows

  def rows(self) -> np.ndarray:
    """Returns a copy of every row, oldest first, [size, width]."""
    with self.changed:
      return np.concatenate(self.ring.segments())

  def save(self, directory: str) -> None:
    """Writes the ring into a folder, as one raw array and a small JSON file.

    Args:
      directory: the folder, which is made.
    """
    os.makedirs(directory)
    with self.changed:
      with open(os.path.join(directory, _ROWS), 'wb') as file:
        for rows in self.ring.segments():
          file.write(rows)  # Not `tofile`, whose errors have no errno.
      state = {
        'size': self.ring.size,
        'width': self._packing.width,
        'dtype': self._packing.dtype.name,
        'random_state': self.ring.random_state(),
        **self.limiter.state(),
      }
    with open(os.path.join(directory, _STATE), 'w') as file:
      json.dump(state, file)

  def restore(self, directory: str) -> bool:
    """Fills the ring with what `save` wrote.

    Args:
      directory: the folder.

    Returns:
      Whether there was anything to restore.

    Raises:
      ValueError: if it was written for other transitions.
    """
    path = os.path.join(directory, _STATE)
    if not os.path.exists(path):
      return False
    with open(path) as file:
      state = json.load(file)
    found = (state['width'], state['dtype'])
    expected = (self._packing.width, self._packing.dtype.name)
    if found != expected:
      raise ValueError(
        f'{directory} holds transitions of {found[0]} {found[1]} numbers; this '
        f'environment has {expected[0]} {expected[1]}.'
      )
    rows = np.empty(0, self._packing.dtype)
    if state['size']:  # Mapped, not read: the ring itself may take most of the memory.
      path = os.path.join(directory, _ROWS)
      rows = np.memmap(path, self._packing.dtype, mode='r')
    with self.changed:
      self.ring.restore(
        rows.reshape(state['size'], self._packing.width), state['random_state']
      )
      self.limiter.restore(state, state['size'])
    return True
