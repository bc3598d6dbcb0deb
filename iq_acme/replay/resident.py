"""Replay in a ring beside the learner, to which Reverb only carries transitions.

Reverb's queue takes every transition once from the actors to the ring, and the ring
samples: 256 rows gathered from memory instead of 256 items from a server.
"""

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

# isort: split
import numpy as np
import reverb
import tensorflow as tf
from acme import adders

from iq_acme.config import IQConfig
from iq_acme.replay.adder import PackedTransitionAdder, RowWriter
from iq_acme.replay.admission import RatioAdmission
from iq_acme.replay.packing import TransitionPacking
from iq_acme.replay.ring import Ring, make_ring
from iq_acme.replay.table import unpack_in_update, unpack_on_host
from iq_acme.replay.watchdog import WatchedIterator

QUEUE = 'transition_queue'
DRAINS = ('inline', 'thread')
# Transitions per item. One process, whose actor and learner share the cores, sends
# them eight at a time, which costs a sixth; actors on their own send each at once.
INLINE_GROUP_SIZE = 8
# In one process: transitions that follow a group before the ring takes it in. By then it
# has arrived, so that nobody waits for the way there and back, some 3 ms.
_TRAVEL_TIME = 4
# Items the queue holds: how far actors can run ahead of the ring.
QUEUE_SIZE = 1_000
# In one process: groups that may be under way before the actor fetches them itself.
_MAX_GROUPS_UNDER_WAY = 32

_ROWS, _STATE = 'ring.bin', 'ring.json'


class ResidentReplay:
  """A ring of packed transitions beside the learner, and the queue that fills it.

  'inline': actor and learner share a thread. The ring takes in, before each batch,
  the groups that this object's own adder has sent, each once four more transitions have
  followed it, so that a seed determines every batch and none waits for its newest.
  'thread': the actors are elsewhere. A thread takes in what arrives, as far as
  `samples_per_insert` admits it; beyond that the queue fills up, and holds the actors
  back.

  Attributes:
    packing: the layout of a stored transition.
    unpack: turns the data of a batch into transitions, inside the jitted update.
  """

  def __init__(self, config: IQConfig, environment_spec: Any, drain: str, seed: int):
    """Creates the parts' maker; the ring takes no memory until it is used.

    Args:
      config: sizes and ratio.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      drain: 'inline' or 'thread'.
      seed: of the ring's sampler.

    Raises:
      ValueError: for another drain.
    """
    if drain not in DRAINS:
      raise ValueError(f'drain is {drain!r}; it must be one of {DRAINS}.')
    self._config = config
    self._inline = drain == 'inline'
    self._seed = seed
    self.packing = TransitionPacking(environment_spec)
    self.unpack = unpack_in_update(self.packing)
    self._ring: Ring | None = None
    self._writer: RowWriter | None = None
    self._client: reverb.Client | None = None
    self._items: Iterator[np.ndarray] | None = None
    self._items_received = self._rows_received = 0
    self._admission = RatioAdmission(config)
    self._admits_all = False
    self._changed = threading.Condition()
    self._drain_error: BaseException | None = None

  # Layouts of many processes pickle a builder with its replay, before either is used.
  def __getstate__(self) -> dict[str, Any]:
    return {**vars(self), '_changed': None}  # A lock cannot be pickled.

  def __setstate__(self, state: dict[str, Any]) -> None:
    vars(self).update(state, _changed=threading.Condition())

  def make_tables(self) -> list[reverb.Table]:
    """One queue, which holds every item until it is taken, and then drops it."""
    return [
      reverb.Table(
        name=QUEUE,
        sampler=reverb.selectors.Fifo(),
        # Never used, for a full queue takes nothing in. Not FIFO, because Acme's local
        # layout takes a FIFO queue for on-policy data and steps the learner wrongly.
        remover=reverb.selectors.Lifo(),
        max_size=QUEUE_SIZE,
        max_times_sampled=1,
        rate_limiter=reverb.rate_limiters.Queue(QUEUE_SIZE),
        signature=[tf.TensorSpec([None, self.packing.width], self.packing.dtype)],
      )
    ]

  def make_adder(self, client: reverb.Client) -> adders.Adder:
    """Writes n-step transitions of the environment's own, continuous actions.

    Raises:
      RuntimeError: for a second adder where the first one's thread is to drain it.
    """
    writer = RowWriter(client, QUEUE, INLINE_GROUP_SIZE if self._inline else 1)
    write = writer.write
    if self._inline:
      if self._writer is not None:
        raise RuntimeError("drain='inline' is for one actor; use drain='thread'.")
      self._client, self._writer = client, writer
      write = self._write_inline
    return PackedTransitionAdder(
      self.packing,
      write,
      self._config.n_step,
      self._config.discount,
      # In one process `save` takes in what is under way itself.
      flush=lambda: None if self._inline else writer.close_writer(),
    )

  def make_iterator(self, client: reverb.Client) -> Iterator[reverb.ReplaySample]:
    """Batches of K * B transitions drawn from the ring.

    Args:
      client: a client of the server that holds the queue.

    Returns:
      An iterator whose samples' data `unpack` understands. Where the thread that takes
      transitions in has failed, it raises a RuntimeError with what that raised.
    """
    self._client = client
    self._make_ring()  # Before a second thread could make another one.
    if not self._inline:
      threading.Thread(target=self._drain_forever, daemon=True).start()
    batches = self._batches(
      self._config.batch_size * self._config.num_sgd_steps_per_step
    )
    return WatchedIterator(
      batches, lambda: self._admission.describe(self._make_ring().size)
    )

  @property
  def size(self) -> int:
    """Transitions in the ring; in one process, those on their way to it included."""
    size = self._make_ring().size
    if self._writer is not None:
      # Only counted: taken in before their time they would change the batches.
      size += self._writer.num_rows_sent - self._rows_received
      size += self._writer.num_rows_held
    return min(size, self._config.max_replay_size)

  @property
  def totals(self) -> tuple[int, int]:
    """Transitions that the ring has taken in, and sampled, over all resumes with it."""
    return self._admission.inserted, self._admission.sampled

  def admit_all(self) -> None:
    """From now on takes in all that arrives, whatever the ratio: the end of a run."""
    with self._changed:
      self._admits_all = True
      self._changed.notify_all()

  def save(self, directory: str) -> None:
    """Writes the ring into an empty folder, as one raw array and a small JSON file.

    In one process it takes in first what is on its way, so that batches from then on can
    be others than without the call.

    Args:
      directory: the folder, which is made.
    """
    if self._inline:
      self._take_in(flush=True)
    os.makedirs(directory)
    with self._changed:
      ring = self._make_ring()
      with open(os.path.join(directory, _ROWS), 'wb') as file:
        for rows in ring.segments():
          rows.tofile(file)
      state = {
        'size': ring.size,
        'width': self.packing.width,
        'dtype': self.packing.dtype.name,
        'random_state': ring.random_state(),
        **self._admission.state(),
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
    expected = (self.packing.width, self.packing.dtype.name)
    if found != expected:
      raise ValueError(
        f'{directory} holds transitions of {found[0]} {found[1]} numbers; this '
        f'environment has {expected[0]} {expected[1]}.'
      )
    rows = np.empty(0, self.packing.dtype)
    if state['size']:  # Mapped, not read: the ring itself may take most of the memory.
      path = os.path.join(directory, _ROWS)
      rows = np.memmap(path, self.packing.dtype, mode='r')
    with self._changed:
      self._make_ring().restore(
        rows.reshape(state['size'], self.packing.width), state['random_state']
      )
      self._admission.restore(state, state['size'])
    return True

  def close_writer(self) -> None:
    """Ends this object's stream to the server, to be called before that stops."""
    self._writer = None

  def close(self) -> None:
    """Lets go of the queue, to be called once its server has stopped.

    What is in the ring stays. A sampler of a server that runs would have to be waited
    for, until its next look at whether it is still wanted.
    """
    self.close_writer()
    self._items = None

  def _make_ring(self) -> Ring:
    if self._ring is None:
      self._ring = make_ring(
        self._config.max_replay_size,
        self.packing.width,
        self.packing.dtype,
        self._seed,
      )
    return self._ring

  def _batches(self, batch_size: int) -> Iterator[reverb.ReplaySample]:
    ring = self._make_ring()
    while True:
      if self._inline:
        self._take_in(flush=ring.size < self._config.min_replay_size)
      with self._changed:
        if not self._inline:
          self._changed.wait_for(
            lambda: (
              self._drain_error or self._admission.may_sample(ring.size, batch_size)
            )
          )
          self._check_drain()
        rows = ring.sample(batch_size)
        self._admission.sampled += batch_size
        self._changed.notify_all()
      yield reverb.ReplaySample(info=(), data=unpack_on_host(self.packing, rows))

  def _write_inline(self, row: np.ndarray) -> None:
    self._writer.write(row)
    under_way = self._writer.num_items_written - self._items_received
    if under_way >= _MAX_GROUPS_UNDER_WAY:  # Before learning starts nobody else does.
      self._take_in()

  def _take_in(self, flush: bool = False) -> None:
    """Moves what this process's adder has sent into the ring."""
    if self._writer is None:
      return
    if flush:
      self._writer.flush()
    count = self._writer.num_items_written - self._items_received
    if count and not flush and self._writer.num_rows_held < _TRAVEL_TIME:
      count -= 1
    if count and self._items is None:
      self._items = self._receive()
    for _ in range(count):
      rows = next(self._items)
      self._ring_append(rows)
      self._rows_received += len(rows)
    self._items_received += count

  def _ring_append(self, rows: np.ndarray) -> None:
    self._make_ring().append(rows)
    self._admission.inserted += len(rows)

  def _drain_forever(self) -> None:
    ring = self._make_ring()
    try:
      for rows in self._receive():
        with self._changed:
          self._changed.wait_for(
            lambda: self._admits_all or self._admission.may_insert(ring.size)
          )
          self._ring_append(rows)
          self._changed.notify_all()
      raise RuntimeError('The queue was closed.')
    except BaseException as error:  # The learner is to hear of it, whatever it is.
      with self._changed:
        self._drain_error = error
        self._changed.notify_all()

  def _check_drain(self) -> None:
    """Raises where no transition will ever come in again."""
    if self._drain_error is not None:
      raise RuntimeError(
        f'The thread that fills the ring from the queue {QUEUE!r} has failed: '
        f'{self._drain_error!r}'
      ) from self._drain_error

  def _receive(self) -> Iterator[np.ndarray]:
    """Every item of the queue in turn, by one sampler, for each costs a log line."""
    for sample in self._client.sample(QUEUE, 2**62, emit_timesteps=False):
      yield sample.data[0]
