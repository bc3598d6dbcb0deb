"""Experience replay: what actors write to and the learner samples from."""

from typing import Any

from iq_acme.config import IQConfig
from iq_acme.replay.packing import TransitionPacking
from iq_acme.replay.resident import DRAINS, ResidentReplay
from iq_acme.replay.table import RATE_LIMITERS, TableReplay
from iq_acme.replay.watchdog import WatchedIterator


def make_replay(
  config: IQConfig,
  environment_spec: Any,
  *,
  rate_limiter: str = 'ratio',
  drain: str = 'thread',
  seed: int = 0,
) -> TableReplay | ResidentReplay:
  """The replay that a configuration names.

  Either keeps the last `max_replay_size` transitions and samples them uniformly, and
  through either every transition goes by Reverb.

  Args:
    config: the kind, sizes and ratio.
    environment_spec: an `acme.specs.EnvironmentSpec`.
    rate_limiter: of a table: 'ratio' or 'min_size', see `TableReplay`.
    drain: of a resident ring: 'inline' or 'thread', see `ResidentReplay`.
    seed: of a resident ring's sampler; Reverb's takes none.

  Returns:
    What makes the tables, the adders and the iterator.

  Raises:
    ValueError: for another limiter or drain.
  """
  if config.replay == 'resident':
    return ResidentReplay(config, environment_spec, drain, seed)
  return TableReplay(config, environment_spec, rate_limiter)


__all__ = [
  'DRAINS',
  'RATE_LIMITERS',
  'ResidentReplay',
  'TableReplay',
  'TransitionPacking',
  'WatchedIterator',
  'make_replay',
]
