"""Replay in a ring beside the learner, to which Reverb only carries transitions.

Reverb's queue takes every transition once from the actors to the ring, and the ring
samples: 256 rows gathered from memory instead of 256 items from a server.
"""

from collections.abc import Iterator
from typing import Any

import reverb
import tensorflow as tf
from acme import adders

from iq_acme.config import IQConfig
from iq_acme.replay.adder import PackedTransitionAdder
from iq_acme.replay.drains import QUEUE, Drain, InlineDrain, ThreadDrain
from iq_acme.replay.packing import TransitionPacking
from iq_acme.replay.shared_ring import SharedRing
from iq_acme.replay.table import unpack_in_update, unpack_on_host
from iq_acme.replay.watchdog import WatchedIterator

DRAINS = ('inline', 'thread')
# Items the queue holds: how far actors can run ahead of the ring.
QUEUE_SIZE = 1_000


class ResidentReplay:
  """A ring of packed transitions beside the learner, and the queue that fills it.

  Attributes:
    packing: the layout of a stored transition.
    unpack: turns the data of a batch into transitions, inside the jitted update.
  """

  def __init__(self, config: IQConfig, environment_spec: Any, drain: str, seed: int):
    """Creates the parts' maker; the ring takes no memory until it is used.

    Args:
      config: sizes and ratio.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      drain: 'inline' where actor and learner share a thread, see `InlineDrain`; 'thread'
        where the actors are elsewhere, see `ThreadDrain`.
      seed: of the ring's sampler.

    Raises:
      ValueError: for another drain.
    """
    if drain not in DRAINS:
      raise ValueError(f'drain is {drain!r}; it must be one of {DRAINS}.')
    self._config = config
    self.packing = TransitionPacking(environment_spec)
    self.unpack = unpack_in_update(self.packing)
    self._shared = SharedRing(config, self.packing, seed)
    self._drain: Drain = (
      InlineDrain(self._shared, config.min_replay_size)
      if drain == 'inline'
      else ThreadDrain(self._shared)
    )

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
    write, flush = self._drain.open_writer(client)
    return PackedTransitionAdder(
      self.packing, write, self._config.n_step, self._config.discount, flush
    )

  def make_iterator(self, client: reverb.Client) -> Iterator[reverb.ReplaySample]:
    """Batches of K * B transitions drawn from the ring.

    Args:
      client: a client of the server that holds the queue.

    Returns:
      An iterator whose samples' data `unpack` understands. Where the thread that takes
      transitions in has failed, it raises a RuntimeError with what that raised.
    """
    ring = self._shared.ring  # Before a second thread could make another one.
    self._drain.start(client)
    batches = self._batches(
      self._config.batch_size * self._config.num_sgd_steps_per_step
    )
    return WatchedIterator(batches, lambda: self._shared.admission.describe(ring.size))

  @property
  def size(self) -> int:
    """Transitions in the ring; in one process, those on their way to it included."""
    # Those are counted only: taken in before their time they would change the batches.
    size = self._shared.ring.size + self._drain.rows_under_way
    return min(size, self._config.max_replay_size)

  @property
  def totals(self) -> tuple[int, int]:
    """Transitions that the ring has taken in, and sampled, over all resumes with it."""
    return self._shared.admission.inserted, self._shared.admission.sampled

  def admit_all(self) -> None:
    """From now on takes in all that arrives, whatever the ratio: the end of a run."""
    self._shared.admit_all()

  def save(self, directory: str) -> None:
    """Writes the ring into an empty folder.

    In one process it takes in first what is on its way, so that batches from then on can
    be others than without the call.

    Args:
      directory: the folder, which is made.
    """
    self._drain.flush()
    self._shared.save(directory)

  def restore(self, directory: str) -> bool:
    """Fills the ring with what `save` wrote; see `SharedRing.restore`."""
    return self._shared.restore(directory)

  def close_writer(self) -> None:
    """Ends this object's stream to the server, to be called before that stops."""
    self._drain.close_writer()

  def close(self) -> None:
    """Lets go of the queue, to be called once its server has stopped.

    What is in the ring stays.
    """
    self._drain.close()

  def _batches(self, batch_size: int) -> Iterator[reverb.ReplaySample]:
    while True:
      rows = self._drain.sample(batch_size)
      yield reverb.ReplaySample(info=(), data=unpack_on_host(self.packing, rows))
