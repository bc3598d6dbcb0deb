"""A ring of packed transitions that one side fills and the other samples."""

import json
import os
import threading
from typing import Any

import numpy as np

from iq_acme.config import IQConfig
from iq_acme.replay.admission import RatioAdmission
from iq_acme.replay.packing import TransitionPacking
from iq_acme.replay.ring import Ring, make_ring

_ROWS, _STATE = 'ring.bin', 'ring.json'


class SharedRing:
  """A ring, the totals of what went in and came out, and a lock that guards both.

  Attributes:
    changed: the lock; whoever waits with it is woken by each `append` and `sample`.
    admission: counts what goes in and out, and says which may go on.
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
    self.admission = RatioAdmission(config)
    self.changed = threading.Condition()
    self._admits_all = False

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

  def may_append(self) -> bool:
    """Whether the ratio lets one more transition in."""
    return self._admits_all or self.admission.may_insert(self.ring.size)

  def may_sample(self, num_rows: int) -> bool:
    """Whether the ratio lets so many transitions out."""
    return self.admission.may_sample(self.ring.size, num_rows)

  def admit_all(self) -> None:
    """From now on lets in all that comes, whatever the ratio."""
    with self.changed:
      self._admits_all = True
      self.changed.notify_all()

  def append(self, rows: np.ndarray) -> None:
    """Takes rows [N, width] in."""
    with self.changed:
      self.ring.append(rows)
      self.admission.inserted += len(rows)
      self.changed.notify_all()

  def sample(self, num_rows: int) -> Any:
    """Rows drawn uniformly, [num_rows, width]."""
    with self.changed:
      rows = self.ring.sample(num_rows)
      self.admission.sampled += num_rows
      self.changed.notify_all()
    return rows

  def save(self, directory: str) -> None:
    """Writes the ring into an empty folder, as one raw array and a small JSON file.

    Args:
      directory: the folder, which is made.
    """
    os.makedirs(directory)
    with self.changed:
      with open(os.path.join(directory, _ROWS), 'wb') as file:
        for rows in self.ring.segments():
          rows.tofile(file)
      state = {
        'size': self.ring.size,
        'width': self._packing.width,
        'dtype': self._packing.dtype.name,
        'random_state': self.ring.random_state(),
        **self.admission.state(),
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
      ValueError: where it was written for other transitions.
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
      self.admission.restore(state, state['size'])
    return True
