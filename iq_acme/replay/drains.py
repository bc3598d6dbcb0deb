"""How a ring takes in what Reverb's queue carries: in the learner's thread or another."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import reverb

from iq_acme.replay.adder import RowWriter
from iq_acme.replay.shared_ring import SharedRing

QUEUE = 'transition_queue'
# Transitions per item. One process, whose actor and learner share the cores, sends
# them eight at a time, which costs a sixth; actors on their own send each at once.
INLINE_GROUP_SIZE = 8
# In one process: transitions that follow a group before the ring takes it in. By then it
# has arrived, so that nobody waits for the way there and back, some 3 ms.
_TRAVEL_TIME = 4
# In one process: groups that may be under way before the actor fetches them itself.
_MAX_GROUPS_UNDER_WAY = 32


class Drain(Protocol):
  """What fills a ring from the queue, and what fills the queue.

  Attributes:
    rows_under_way: transitions that an adder of this object was given, and that are not
      in the ring yet.
  """

  rows_under_way: int

  def open_writer(
    self, client: reverb.Client
  ) -> tuple[Callable[[np.ndarray], None], Callable[[], None]]:
    """Returns what writes a row [width], and what waits until rows have arrived."""

  def start(self, client: reverb.Client) -> None:
    """Begins to take in what is in the queue."""

  def sample(self, num_rows: int) -> Any:
    """Rows [num_rows, width] from the ring, once it has what a batch waits for."""

  def flush(self) -> None:
    """Takes in at once what an adder of this object was given."""

  def close_writer(self) -> None:
    """Ends this object's stream to the server, to be called before that stops."""

  def close(self) -> None:
    """Lets go of the queue, to be called once its server has stopped."""


class InlineDrain:
  """Actor and learner share a thread, which takes in groups before it samples.

  Each group of this object's own writer is taken in once four more transitions have
  followed it, so that a seed determines every batch and none waits for its newest.
  """

  def __init__(self, shared: SharedRing, min_replay_size: int):
    """Creates a drain.

    Args:
      shared: the ring.
      min_replay_size: transitions in the ring from which on none is waited for.
    """
    self._shared = shared
    self._min_replay_size = min_replay_size
    self._client: reverb.Client | None = None
    self._writer: RowWriter | None = None
    self._items: Iterator[np.ndarray] | None = None
    self._items_received = self._rows_received = 0

  @property
  def rows_under_way(self) -> int:
    if self._writer is None:
      return 0
    return self._writer.num_rows_sent - self._rows_received + self._writer.num_rows_held

  def open_writer(
    self, client: reverb.Client
  ) -> tuple[Callable[[np.ndarray], None], Callable[[], None]]:
    if self._writer is not None:
      raise RuntimeError("drain='inline' is for one actor; use drain='thread'.")
    self._client = client
    self._writer = RowWriter(client, QUEUE, INLINE_GROUP_SIZE)
    return self._write, lambda: None  # `flush` takes in what is under way itself.

  def start(self, client: reverb.Client) -> None:
    self._client = client

  def sample(self, num_rows: int) -> Any:
    self._take_in(flush=self._shared.ring.size < self._min_replay_size)
    return self._shared.sample(num_rows)

  def flush(self) -> None:
    self._take_in(flush=True)

  def close_writer(self) -> None:
    self._writer = None

  def close(self) -> None:
    self.close_writer()
    # A sampler of a server that runs would have to be waited for, until its next look at
    # whether it is still wanted.
    self._items = None

  def _write(self, row: np.ndarray) -> None:
    self._writer.write(row)
    under_way = self._writer.num_items_written - self._items_received
    if under_way >= _MAX_GROUPS_UNDER_WAY:  # Before learning starts nobody else does.
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
      self._shared.append(rows)
      self._rows_received += len(rows)
    self._items_received += count


class ThreadDrain:
  """The actors are elsewhere, and a thread takes in what arrives.

  It does so as far as `samples_per_insert` admits it; beyond that the queue fills up,
  and holds the actors back.
  """

  rows_under_way = 0  # They are known where the actors are.

  def __init__(self, shared: SharedRing):
    """Creates a drain.

    Args:
      shared: the ring.
    """
    self._shared = shared
    self._error: BaseException | None = None

  def open_writer(
    self, client: reverb.Client
  ) -> tuple[Callable[[np.ndarray], None], Callable[[], None]]:
    writer = RowWriter(client, QUEUE, group_size=1)
    return writer.write, writer.close_writer

  def start(self, client: reverb.Client) -> None:
    threading.Thread(target=self._run, args=(client,), daemon=True).start()

  def sample(self, num_rows: int) -> Any:
    with self._shared.changed:
      self._shared.changed.wait_for(
        lambda: self._error or self._shared.may_sample(num_rows)
      )
      self._check()
      return self._shared.sample(num_rows)

  def flush(self) -> None:
    """Does nothing: what remote actors have sent is theirs to wait for."""

  def close_writer(self) -> None:
    """Does nothing: each adder has a stream of its own."""

  def close(self) -> None:
    """Does nothing: the thread ends with the process."""

  def _run(self, client: reverb.Client) -> None:
    try:
      for rows in _receive(client):
        with self._shared.changed:
          self._shared.changed.wait_for(self._shared.may_append)
          self._shared.append(rows)
      raise RuntimeError('The queue was closed.')
    except BaseException as error:  # The learner is to hear of it, whatever it is.
      with self._shared.changed:
        self._error = error
        self._shared.changed.notify_all()

  def _check(self) -> None:
    """Raises where no transition will ever come in again."""
    if self._error is not None:
      raise RuntimeError(
        f'The thread that fills the ring from the queue {QUEUE!r} has failed: '
        f'{self._error!r}'
      ) from self._error


def _receive(client: reverb.Client) -> Iterator[np.ndarray]:
  """Every item of the queue in turn, by one sampler, for each costs a log line."""
  for sample in client.sample(QUEUE, 2**62, emit_timesteps=False):
    yield sample.data[0]
