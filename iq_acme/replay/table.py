"""Replay in a Reverb table, which keeps and samples the transitions itself."""

from collections.abc import Iterator
from typing import Any

import reverb
import tensorflow as tf
from acme import adders
from acme.datasets import reverb as datasets

from iq_acme.config import IQConfig
from iq_acme.replay.adder import PackedTransitionAdder, RowWriter
from iq_acme.replay.packing import TransitionPacking
from iq_acme.replay.watchdog import WatchedIterator

TABLE = 'priority_table'  # Acme's name for it.
RATE_LIMITERS = ('ratio', 'min_size')


class TableReplay:
  """A uniform table of packed transitions; any Acme layout understands it.

  Attributes:
    packing: the layout of a stored transition.
    unpack: turns the data of a batch into transitions, inside the jitted update.
  """

  def __init__(self, config: IQConfig, environment_spec: Any, rate_limiter: str):
    """Creates the parts' maker.

    Args:
      config: sizes and ratio.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      rate_limiter: 'ratio' holds actors and learner to `samples_per_insert` (many
        processes); 'min_size' only holds back samples until `min_replay_size` (one
        process, where the agent itself counts).

    Raises:
      ValueError: for another limiter.
    """
    if rate_limiter not in RATE_LIMITERS:
      raise ValueError(
        f'rate_limiter is {rate_limiter!r}; it must be one of {RATE_LIMITERS}.'
      )
    self._config = config
    self._rate_limiter = rate_limiter
    self.packing = TransitionPacking(environment_spec)
    self.unpack = unpack_in_update(self.packing)

  def make_tables(self) -> list[reverb.Table]:
    """One table: uniform sampling, the oldest item leaves first."""
    return [
      reverb.Table(
        name=TABLE,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=self._config.max_replay_size,
        rate_limiter=make_rate_limiter(self._config, self._rate_limiter),
        signature=[tf.TensorSpec([self.packing.width], self.packing.dtype)],
      )
    ]

  def make_adder(self, client: reverb.Client) -> adders.Adder:
    """Writes n-step transitions of the environment's own, continuous actions."""
    writer = RowWriter(client, TABLE)
    return PackedTransitionAdder(
      self.packing,
      writer.write,
      self._config.n_step,
      self._config.discount,
      flush=writer.close_writer,
    )

  def make_iterator(self, client: reverb.Client) -> Iterator[reverb.ReplaySample]:
    """Batches of K * B transitions, read ahead of the learner.

    Args:
      client: a client of the server that holds the table.

    Returns:
      An iterator whose samples' data `unpack` understands.
    """
    batch_size = self._config.batch_size * self._config.num_sgd_steps_per_step
    dataset = datasets.make_reverb_dataset(
      server_address=client.server_address,
      table=TABLE,
      batch_size=batch_size,
      prefetch_size=self._config.prefetch_size,
      num_parallel_calls=self._config.num_sampling_workers,
      # Bounds how old a batch can be: at most one more a worker is in flight.
      max_in_flight_samples_per_worker=batch_size,
    )
    samples = (
      sample._replace(data=unpack_on_host(self.packing, sample.data[0]))
      for sample in dataset.as_numpy_iterator()
    )
    return WatchedIterator(samples, lambda: describe_wait(client, TABLE, batch_size))


def unpack_in_update(packing: TransitionPacking) -> Any:
  """What the update has to do with a batch, see `unpack_on_host`."""
  return packing.unpack if packing.dtype == 'float32' else lambda data: data


def unpack_on_host(packing: TransitionPacking, rows: Any) -> Any:
  """Rows of float32 as they are, which the update unpacks; rows of bytes unpacked."""
  return rows if packing.dtype == 'float32' else packing.unpack(rows)


def describe_wait(client: reverb.Client, table: str, batch_size: int) -> str:
  """Says in words what a learner waits for, from the server's own counts."""
  try:
    info = client.server_info(timeout=5)[table]
  except Exception as error:  # Whatever is wrong with the server is the answer.
    return f'the replay server does not answer ({error}).'
  limiter = info.rate_limiter_info
  inserted = limiter.insert_stats.completed
  sampled = limiter.sample_stats.completed
  return (
    f'a batch of {batch_size}; table {table!r} holds {info.current_size} of the '
    f'{limiter.min_size_to_sample} items it takes to sample; {inserted} '
    f'inserted and {sampled} sampled so far; inserts * '
    f'{limiter.samples_per_insert:g} - samples = '
    f'{inserted * limiter.samples_per_insert - sampled:g} is allowed within '
    f'[{limiter.min_diff:g}, {limiter.max_diff:g}].'
  )


def ratio_tolerance(config: IQConfig) -> float:
  """How far inserts * ratio and samples may drift apart, in samples."""
  ratio = config.sampled_per_step
  tolerance = config.samples_per_insert_tolerance_rate * config.min_replay_size * ratio
  # Below these, inserts and samples could each wait for the other for ever.
  batch_size = config.batch_size * config.num_sgd_steps_per_step
  return max(tolerance, 2 * max(1.0, ratio), 2.0 * batch_size)


def make_rate_limiter(config: IQConfig, kind: str) -> reverb.rate_limiters.RateLimiter:
  """The limiter of a table that is sampled uniformly, one of `RATE_LIMITERS`."""
  if kind == 'min_size':
    return reverb.rate_limiters.MinSize(config.min_replay_size)
  return reverb.rate_limiters.SampleToInsertRatio(
    samples_per_insert=config.sampled_per_step,
    min_size_to_sample=config.min_replay_size,
    error_buffer=ratio_tolerance(config),
  )
