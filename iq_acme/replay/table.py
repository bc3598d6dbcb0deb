"""Experience replay in Reverb: the table, the adder, the iterator of batches."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

# isort: split
import reverb
from absl import logging
from acme import types
from acme.adders import reverb as adders
from acme.datasets import reverb as datasets

from iq_acme.config import IQConfig

TABLE = adders.DEFAULT_PRIORITY_TABLE
RATE_LIMITERS = ('ratio', 'min_size')


def make_tables(
  environment_spec: Any, config: IQConfig, rate_limiter: str
) -> list[reverb.Table]:
  """The replay table: uniform sampling, the oldest item leaves first.

  Args:
    environment_spec: an `acme.specs.EnvironmentSpec`.
    config: sizes and ratio.
    rate_limiter: 'ratio' holds actors and learner to `samples_per_insert` (many
      processes); 'min_size' only holds back samples until `min_replay_size` (one
      process, where the agent itself counts).

  Returns:
    A list of one table.
  """
  return [
    reverb.Table(
      name=TABLE,
      sampler=reverb.selectors.Uniform(),
      remover=reverb.selectors.Fifo(),
      max_size=config.max_replay_size,
      rate_limiter=_make_rate_limiter(config, rate_limiter),
      signature=adders.NStepTransitionAdder.signature(environment_spec),
    )
  ]


def make_adder(client: reverb.Client, config: IQConfig) -> adders.NStepTransitionAdder:
  """Writes n-step transitions of the environment's own, continuous actions.

  An episode that terminated ends with discount 0, one that was cut off with 1; the
  last n - 1 transitions of an episode are shorter.
  """
  return adders.NStepTransitionAdder(
    client, n_step=config.n_step, discount=config.discount, priority_fns={TABLE: None}
  )


def make_iterator(client: reverb.Client, config: IQConfig) -> Iterator[Any]:
  """Batches of K * B transitions, sampled uniformly and read ahead of the learner.

  Args:
    client: a client of the server that holds the table.
    config: batch size B, SGD steps per learner step K, how far to read ahead.

  Returns:
    An iterator of `reverb.ReplaySample` of numpy arrays, which says what it waits
    for where a batch takes longer than a minute.
  """
  batch_size = config.batch_size * config.num_sgd_steps_per_step
  dataset = datasets.make_reverb_dataset(
    server_address=client.server_address,
    table=TABLE,
    batch_size=batch_size,
    prefetch_size=config.prefetch_size,
    num_parallel_calls=config.num_sampling_workers,
    # With two workers and reading ahead, a batch is a few steps old when it is used.
    max_in_flight_samples_per_worker=batch_size,
  )
  return WatchedIterator(
    dataset.as_numpy_iterator(), lambda: describe_wait(client, batch_size)
  )


def describe_wait(client: reverb.Client, batch_size: int) -> str:
  """Says in words what a learner waits for, from the server's own counts."""
  try:
    info = client.server_info(timeout=5)[TABLE]
  except Exception as error:  # Whatever is wrong with the server is the answer.
    return f'the replay server does not answer ({error}).'
  limiter = info.rate_limiter_info
  inserted = limiter.insert_stats.completed
  sampled = limiter.sample_stats.completed
  return (
    f'a batch of {batch_size}; table {TABLE!r} holds {info.current_size} of the '
    f'{limiter.min_size_to_sample} transitions it takes to sample; {inserted} '
    f'inserted and {sampled} sampled so far; inserts * '
    f'{limiter.samples_per_insert:g} - samples = '
    f'{inserted * limiter.samples_per_insert - sampled:g} is allowed within '
    f'[{limiter.min_diff:g}, {limiter.max_diff:g}].'
  )


class WatchedIterator(Iterator[Any]):
  """An iterator that logs a line where its next element is long in coming.

  Rate limiters that wait for one another are the most reported trouble with Reverb,
  and by themselves they wait in silence.
  """

  def __init__(
    self, iterator: Iterator[Any], describe: Any, patience_seconds: float = 60.0
  ):
    """Watches an iterator.

    Args:
      iterator: the iterator.
      describe: a function that says what it waits for.
      patience_seconds: how long before a line is logged, and between lines.
    """
    self._iterator = iterator
    self._describe = describe
    self._patience = patience_seconds
    self._waiting_since: float | None = None
    self._watchdog: threading.Thread | None = None

  def __next__(self) -> types.NestedArray:
    if self._watchdog is None:
      self._watchdog = threading.Thread(target=self._watch, daemon=True)
      self._watchdog.start()
    self._waiting_since = time.monotonic()
    try:
      return next(self._iterator)
    finally:
      self._waiting_since = None

  def _watch(self) -> None:
    warned_at = 0.0
    while True:
      time.sleep(min(self._patience / 4, 5.0))
      since, now = self._waiting_since, time.monotonic()
      if since is None or now - max(since, warned_at) < self._patience:
        continue
      warned_at = now
      logging.warning(
        'The learner has waited for replay for %.0f s. It waits for %s',
        now - since,
        self._describe(),
      )


def _make_rate_limiter(config: IQConfig, kind: str) -> reverb.rate_limiters.RateLimiter:
  if kind not in RATE_LIMITERS:
    raise ValueError(f'rate_limiter is {kind!r}; it must be one of {RATE_LIMITERS}.')
  if kind == 'min_size':
    return reverb.rate_limiters.MinSize(config.min_replay_size)
  ratio = config.sampled_per_step
  tolerance = config.samples_per_insert_tolerance_rate * config.min_replay_size * ratio
  # Below these, inserts and samples could each wait for the other for ever.
  batch_size = config.batch_size * config.num_sgd_steps_per_step
  return reverb.rate_limiters.SampleToInsertRatio(
    samples_per_insert=ratio,
    min_size_to_sample=config.min_replay_size,
    error_buffer=max(tolerance, 2 * max(1.0, ratio), 2.0 * batch_size),
  )
