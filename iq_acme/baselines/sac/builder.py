"""Acme's own SAC on this package's replay, to tell algorithm and plumbing apart."""

from collections.abc import Iterator
from typing import Any

import reverb
from acme import adders, types
from acme.agents.jax import sac

from iq_acme.config import IQConfig
from iq_acme.replay.resident import ResidentReplay


class ResidentSACBuilder(sac.SACBuilder):
  """Acme's SAC, whose transitions lie in a ring beside the learner.

  Attributes:
    replay: the ring, for `LocalAgent` to save.
  """

  def __init__(self, config: sac.SACConfig, environment_spec: Any, seed: int = 0):
    """Creates a builder for one process.

    Args:
      config: SAC's hyperparameters.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      seed: of the ring's sampler.
    """
    super().__init__(config)
    sizes = IQConfig(
      batch_size=config.batch_size,
      min_replay_size=config.min_replay_size,
      max_replay_size=config.max_replay_size,
      n_step=config.n_step,
      discount=config.discount,
      num_sgd_steps_per_step=config.num_sgd_steps_per_step,
    )
    self.replay = ResidentReplay(
      sizes, environment_spec, single_threaded=True, seed=seed
    )

  def make_replay_tables(self, environment_spec: Any) -> list[reverb.Table]:
    del environment_spec  # The one given to the constructor.
    return self.replay.make_tables()

  def make_adder(self, replay_client: reverb.Client) -> adders.Adder:
    return self.replay.make_adder(replay_client)

  def make_dataset_iterator(
    self, replay_client: reverb.Client
  ) -> Iterator[reverb.ReplaySample]:
    for sample in self.replay.make_iterator(replay_client):
      transition = self.replay.packing.unpack_in_update(sample.data)
      yield sample._replace(data=types.Transition(*transition))
