"""Replay in a Reverb table, which keeps and samples the transitions itself."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import reverb
import tensorflow as tf
from acme import adders
from acme.datasets import reverb as datasets
from reverb import reverb_types

from iq_acme.config import IQConfig
from iq_acme.replay import shared_ring
from iq_acme.replay.adder import PackedTransitionAdder, RowWriter
from iq_acme.transitions import Transition, TransitionPacking

TABLE = 'priority_table'  # Acme's name for it.


class ServerReplay:
  """Any tables of a Reverb server, which saves them itself, and reads them at its start.

  Attributes:
    is_in_server: True; see `iq_acme.agent.contracts.Replay`.
    num_in_flight: 0: writers know what is, and the server does not.
  """

  is_in_server = True
  num_in_flight = 0

  def __init__(
    self,
    client: reverb.Client | None = None,
    tables: Sequence[reverb_types.TableInfo] = (),
  ):
    """Describes the server.

    Args:
      client: a client of it.
      tables: the `info` of its tables as it was asked for them.
    """
    self._client = client
    self._tables = tables

  @property
  def size(self) -> int:
    return sum(info.current_size for info in self._infos())

  def totals(self) -> tuple[int, int]:
    limiters = [info.rate_limiter_info for info in self._infos()]
    return (
      sum(limiter.insert_stats.completed for limiter in limiters),
      sum(limiter.sample_stats.completed for limiter in limiters),
    )

  def fill(self, transitions: Transition) -> None:
    """Refuses: what a row of these tables holds is their builder's own."""
    raise ValueError(
      'demonstrations are given, but this builder keeps its replay to itself: they need '
      'one with a `replay` of iq_acme.replay, as IQBuilder is.'
    )

  def stop_limiting_inserts(self) -> None:
    """Does nothing: a table's rate limiter is fixed when it is made."""

  def save(self, directory: str) -> None:
    os.rename(self._client.checkpoint(), directory)

  def restore(self, directory: str) -> bool:
    if not is_server_checkpoint(directory):
      return False
    # Restored tables have the settings they were saved with, whatever was asked for.
    found = self._client.server_info()
    for table in self._asked():
      _check_unchanged(directory, table, found[table.name])
    return True

  def stop(self, server: reverb.Server) -> None:
    server.stop()

  def _infos(self) -> list[reverb_types.TableInfo]:
    return list(self._client.server_info().values())

  def _asked(self) -> Sequence[reverb_types.TableInfo]:
    return self._tables


class TableReplay(ServerReplay):
  """A uniform table of packed transitions; any Acme layout understands it.

  Attributes:
    packing: the layout of a stored transition.
  """

  def __init__(self, config: IQConfig, environment_spec: Any, *, single_threaded: bool):
    """Creates the parts' maker.

    Args:
      config: sizes and ratio.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      single_threaded: whether actor and learner take turns in one thread, where the
        agent itself counts and only samples are held back, until `min_replay_size`. If
        not, the table holds actors and learner to `samples_per_insert`.
    """
    super().__init__()
    self._config = config
    self._single_threaded = single_threaded
    self.packing = TransitionPacking(environment_spec)

  def make_tables(self) -> list[reverb.Table]:
    """Makes one table: uniform sampling, the oldest item leaves first."""
    config = self._config
    if self._single_threaded:
      limiter = reverb.rate_limiters.MinSize(config.min_replay_size)
    else:
      limiter = reverb.rate_limiters.SampleToInsertRatio(
        samples_per_insert=config.sampled_per_step,
        min_size_to_sample=config.min_replay_size,
        error_buffer=shared_ring.error_buffer(config),
      )
    return [
      reverb.Table(
        name=TABLE,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=config.max_replay_size,
        rate_limiter=limiter,
        signature=[tf.TensorSpec([self.packing.width], self.packing.dtype)],
      )
    ]

  def make_adder(self, client: reverb.Client) -> adders.Adder:
    """Makes what writes n-step transitions of the environment's own actions."""
    writer, config = RowWriter(client, TABLE), self._config
    return PackedTransitionAdder(self.packing, writer, config.n_step, config.discount)

  def make_iterator(self, client: reverb.Client) -> Iterator[reverb.ReplaySample]:
    """Yields batches of K * B transitions, read ahead of the learner.

    Args:
      client: a client of the server that holds the table.

    Returns:
      An iterator whose samples' data `packing.unpack_in_update` understands.
    """
    self._client = client
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
      sample._replace(data=self.packing.unpack_on_host(sample.data[0]))
      for sample in dataset.as_numpy_iterator()
    )
    return watched(samples, lambda: _describe_wait(client, TABLE, batch_size))

  def fill(self, transitions: Transition) -> None:
    """Puts transitions [N, ...] into the empty table; see `contracts.Replay`."""
    shared_ring.check_room(len(transitions.reward), self._config)
    writer = RowWriter(self._client, TABLE)
    for row in self.packing.pack_batch(transitions):
      writer.write(row)
    writer.flush()

  def _asked(self) -> Sequence[reverb_types.TableInfo]:
    return [table.info for table in self.make_tables()]


def is_server_checkpoint(directory: str) -> bool:
  """Returns whether a folder is a Reverb server's checkpoint, complete."""
  return os.path.exists(os.path.join(directory, 'DONE'))


def watched(iterator: Iterator[Any], describe: Callable[[], str]) -> Iterator[Any]:
  """Yields an iterator's elements; each that is long in coming is a line in the log.

  Reverb's own `rate_limiter_timeout_ms` would end the iterator instead.

  Args:
    iterator: the iterator.
    describe: says what is waited for.
  """
  ended = threading.Event()
  since: list[float] = []  # When the wait under way began; empty outside of one.

  def warn() -> None:
    logged: list[float] = []
    while not ended.wait(shared_ring.PATIENCE_SECONDS / 4):
      start, now = since[:], time.monotonic()
      if start and start != logged and now - start[0] >= shared_ring.PATIENCE_SECONDS:
        logged = start
        shared_ring.log_wait(now - start[0], describe())

  threading.Thread(target=warn, name='replay_watchdog', daemon=True).start()
  try:
    while True:
      since.append(time.monotonic())
      try:
        element = next(iterator)
      except StopIteration:
        return
      finally:
        since.clear()
      yield element
  finally:  # Also if it is closed or forgotten: Acme's own layouts close nothing.
    ended.set()


def _check_unchanged(
  directory: str, asked: reverb_types.TableInfo, restored: reverb_types.TableInfo
) -> None:
  """Raises a ValueError if a table restores to other settings than were asked for."""
  for setting, value in _settings(asked).items():
    saved = _settings(restored)[setting]
    if saved != value:
      raise ValueError(
        f'{setting} is {value:g} but was {saved:g} when {directory} was saved, and a '
        f'Reverb table ({asked.name!r}) goes on with what it was saved with. Set it to '
        f'{saved:g}, or start afresh in another workdir.'
      )


def _settings(table: reverb_types.TableInfo) -> dict[str, float]:
  """Returns what a table's checkpoint fixes, by the names of `IQConfig` if it has them."""
  limiter = table.rate_limiter_info
  return {
    'max_replay_size': table.max_size,
    'min_replay_size': limiter.min_size_to_sample,
    'samples_per_insert': limiter.samples_per_insert,
    "the rate limiter's min_diff": limiter.min_diff,
    "the rate limiter's max_diff": limiter.max_diff,
  }


def _describe_wait(client: reverb.Client, table: str, batch_size: int) -> str:
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
