"""Takes what Reverb's queue carries to a ring, in the learner's thread or another."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import reverb

from iq_acme.replay import shared_ring
from iq_acme.replay.adder import RowWriter, Writer
from iq_acme.replay.shared_ring import SharedRing

QUEUE = 'transition_queue'
# Transitions per item. One process, whose actor and learner share the cores, sends
# them eight at a time, which costs a sixth; actors on their own send each at once.
INLINE_GROUP_SIZE = 8
# In one thread: transitions that follow a group before the ring takes it in. By then it
# has arrived, so that nobody waits for the way there and back, some 3 ms.
_TRAVEL_TIME = 4
# In one thread: groups that may be in flight before the actor fetches them itself.
_MAX_GROUPS_IN_FLIGHT = 32


class InlineConsumer:
  """Fills a ring in the thread that actor and learner share, before each sample.

  Each group of this object's own writer is taken in once four more transitions have
  followed it, so that a seed determines every batch and none waits for its newest.
  """

  def __init__(self, ring: SharedRing, min_replay_size: int):
    """Creates a consumer.

    Args:
      ring: what it fills.
      min_replay_size: transitions in the ring from which on none is waited for.
    """
    self._ring = ring
    self._min_replay_size = min_replay_size
    self._client: reverb.Client | None = None
    self._writer: RowWriter | None = None
    self._items: Iterator[np.ndarray] | None = None
    self._items_received = self._rows_received = 0

  @property
  def num_in_flight(self) -> int:
    """Transitions on their way to the ring, as far as this process knows."""
    if self._writer is None:
      return 0
    return self._writer.num_rows_sent - self._rows_received + self._writer.num_rows_held

  def make_writer(self, client: reverb.Client) -> Writer:
    """Returns what fills the queue."""
    if self._writer is not None:
      raise RuntimeError(
        'A second adder: with single_threaded=True there is one actor; leave it out.'
      )
    self._client = client
    self._writer = RowWriter(client, QUEUE, INLINE_GROUP_SIZE)
    return self

  def start(self, client: reverb.Client) -> None:
    """Begins to take in what is in the queue."""
    self._client = client

  def sample(self, num_rows: int) -> Any:
    """Returns rows [num_rows, width] from the ring, once a batch may be sampled."""
    self._take_in(flush=self._ring.ring.size < self._min_replay_size)
    return self._ring.sample(num_rows)

  def flush(self) -> None:
    """Takes in at once what the writer was given."""
    self._take_in(flush=True)

  def stop(self, server: reverb.Server) -> None:
    """Stops the server, and lets go of it before or after as it takes no time."""
    # A server waits seconds for a writer that is still connected; and a sampler of one
    # that runs would have to be waited for, until it looks whether it is still wanted.
    self._writer = None
    server.stop()
    self._items = None

  def write(self, row: np.ndarray) -> None:
    """Writes a row to the queue, see `Writer`."""
    self._writer.write(row)
    in_flight = self._writer.num_items_written - self._items_received
    if in_flight >= _MAX_GROUPS_IN_FLIGHT:  # Before learning starts nobody else does.
      self._take_in()

  def _take_in(self, flush: bool = False) -> None:
    """Moves what this object's writer has sent into the ring."""
    if self._writer is None:
      return
    if flush:
      self._writer.flush()
    count = self._writer.num_items_written - self._items_received
    if count and not flush and self._writer.num_rows_held < _TRAVEL_TIME:
      count -= 1
    if count and self._items is None:
      self._items = _receive(self._client)
    for _ in range(count):
      rows = next(self._items)
      self._ring.insert(rows)
      self._rows_received += len(rows)
    self._items_received += count


class ThreadConsumer:
  """Fills a ring in a thread of its own, if the actors are elsewhere.

  It does so as far as the ring's rate limiter lets it; beyond that the queue fills up,
  and holds the actors back.
  """

  def __init__(self, ring: SharedRing):
    """Creates a consumer.

    Args:
      ring: what it fills.
    """
    self._ring = ring
    self._client: reverb.Client | None = None
    self._error: BaseException | None = None

  @property
  def num_in_flight(self) -> int:
    # Actors elsewhere hold some more.
    if self._client is None:
      return 0
    return self._client.server_info()[QUEUE].current_size

  def make_writer(self, client: reverb.Client) -> Writer:
    return RowWriter(client, QUEUE, group_size=1)

  def start(self, client: reverb.Client) -> None:
    self._client = client
    threading.Thread(target=self._run, args=(client,), daemon=True).start()

  def sample(self, num_rows: int) -> Any:
    ring, start = self._ring, time.monotonic()
    with ring.changed:
      while not ring.changed.wait_for(
        lambda: self._error or ring.can_sample(num_rows), shared_ring.PATIENCE_SECONDS
      ):
        waited = time.monotonic() - start
        shared_ring.log_wait(waited, ring.limiter.describe(ring.ring.size))
      if self._error is not None:  # No transition will ever come in again.
        raise RuntimeError(
          f'The thread that fills the ring from the queue {QUEUE!r} has failed: '
          f'{self._error!r}'
        ) from self._error
      return ring.sample(num_rows)

  def flush(self) -> None:
    """Does nothing: what remote actors have sent is theirs to wait for."""

  def stop(self, server: reverb.Server) -> None:
    server.stop()  # The thread ends with the process.

  def _run(self, client: reverb.Client) -> None:
    try:
      for rows in _receive(client):
        with self._ring.changed:
          self._ring.changed.wait_for(self._ring.can_insert)
          self._ring.insert(rows)
      raise RuntimeError('The queue was closed.')
    except BaseException as error:  # The learner is to hear of it, whatever it is.
      with self._ring.changed:
        self._error = error
        self._ring.changed.notify_all()


def _receive(client: reverb.Client) -> Iterator[np.ndarray]:
  """Yields every item of the queue, by one sampler: each costs a log line."""
  for sample in client.sample(QUEUE, 2**62, emit_timesteps=False):
    yield sample.data[0]
