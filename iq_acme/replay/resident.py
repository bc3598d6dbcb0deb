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
from iq_acme.replay import shared_ring
from iq_acme.replay.adder import PackedTransitionAdder
from iq_acme.replay.consumer import QUEUE, InlineConsumer, ThreadConsumer
from iq_acme.replay.shared_ring import SharedRing
from iq_acme.transitions import TransitionPacking
from iq_acme.update import Transition

# Items the queue holds: how far actors can run ahead of the ring.
QUEUE_SIZE = 1_000


class ResidentReplay:
  """A ring of packed transitions beside the learner, and the queue that fills it.

  Attributes:
    packing: the layout of a stored transition.
    is_in_server: False; see `iq_acme.agent.contracts.Replay`.
  """

  is_in_server = False

  def __init__(
    self,
    config: IQConfig,
    environment_spec: Any,
    *,
    single_threaded: bool,
    seed: int,
  ):
    """Creates the parts' maker; the ring takes no memory until it is used.

    Args:
      config: sizes and ratio.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      single_threaded: whether actor and learner take turns in one thread, see
        `InlineConsumer`; if not, see `ThreadConsumer`.
      seed: of the ring's sampler.
    """
    self._config = config
    self.packing = TransitionPacking(environment_spec)
    self._ring = SharedRing(config, self.packing, seed)
    self._consumer = (
      InlineConsumer(self._ring, config.min_replay_size)
      if single_threaded
      else ThreadConsumer(self._ring)
    )

  def make_tables(self) -> list[reverb.Table]:
    """Makes one queue, which holds every item until it is taken, and then drops it."""
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
    """Makes what writes n-step transitions of the environment's own actions.

    Raises:
      RuntimeError: for a second adder in one thread.
    """
    writer = self._consumer.make_writer(client)
    config = self._config
    return PackedTransitionAdder(self.packing, writer, config.n_step, config.discount)

  def make_iterator(self, client: reverb.Client) -> Iterator[reverb.ReplaySample]:
    """Yields batches of K * B transitions drawn from the ring.

    Args:
      client: a client of the server that holds the queue.

    Returns:
      An iterator whose samples' data `packing.unpack_in_update` understands. If the
      thread that takes transitions in has failed, it raises a RuntimeError with what
      that raised.
    """
    _ = self._ring.ring  # Before a second thread could make another one.
    self._consumer.start(client)
    return self._batches(self._config.batch_size * self._config.num_sgd_steps_per_step)

  @property
  def size(self) -> int:
    """Transitions in the ring, and those on their way to it."""
    # Those are counted only: taken in before their time they would change the batches.
    size = self._ring.ring.size + self.num_in_flight
    return min(size, self._config.max_replay_size)

  @property
  def num_in_flight(self) -> int:
    """Transitions on their way to the ring; see `InlineConsumer`."""
    return self._consumer.num_in_flight

  def transitions(self) -> Transition:
    """Returns all that the ring holds, oldest first, as arrays [size, ...].

    In one thread it takes in first what is on its way, so that batches from then on can
    be others than without the call. Of remote actors it holds what has come in.
    """
    self._consumer.flush()
    return self.packing.unpack(self._ring.rows())

  def fill(self, transitions: Transition) -> None:
    """Puts transitions [N, ...] into the empty ring; see `contracts.Replay`."""
    shared_ring.check_room(len(transitions.reward), self._config)
    self._ring.insert(self.packing.pack_batch(transitions))

  def totals(self) -> tuple[int, int]:
    """Returns how many the ring has taken in, and sampled, over all resumes with it."""
    return self._ring.limiter.inserted, self._ring.limiter.sampled

  def stop_limiting_inserts(self) -> None:
    """Takes in all that arrives, from now on, whatever the ratio: the end of a run."""
    self._ring.stop_limiting_inserts()

  def save(self, directory: str) -> None:
    """Writes the ring into a folder, which is made; see `transitions` on timing."""
    self._consumer.flush()
    self._ring.save(directory)

  def restore(self, directory: str) -> bool:
    """Fills the ring with what `save` wrote; see `SharedRing.restore`."""
    return self._ring.restore(directory)

  def stop(self, server: reverb.Server) -> None:
    """Stops the server without waiting for this end; what is in the ring stays."""
    self._consumer.stop(server)

  def _batches(self, batch_size: int) -> Iterator[reverb.ReplaySample]:
    while True:
      rows = self._consumer.sample(batch_size)
      yield reverb.ReplaySample(info=(), data=self.packing.unpack_on_host(rows))
