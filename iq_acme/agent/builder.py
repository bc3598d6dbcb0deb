"""IQ's parts for Acme's layouts."""

from collections.abc import Callable, Iterator
from typing import Any

import acme
import jax
import reverb
from acme import adders
from acme.agents.jax import builders
from acme.utils import counting, loggers

from iq_acme import acting, policies
from iq_acme.agent.actor import IQActor
from iq_acme.agent.learner import IQLearner
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks
from iq_acme.replay.resident import ResidentReplay
from iq_acme.replay.table import TableReplay
from iq_acme.spec_checks import check_environment_spec


class IQBuilder(builders.ActorLearnerBuilder):
  """Makes each part of the agent, for a local or a distributed layout.

  The methods have the names and order of dm-acme 0.4.0, whose layouts call them.
  """

  def __init__(
    self,
    config: IQConfig,
    environment_spec: Any,
    logger_fn: Callable[[], loggers.Logger | None] = lambda: None,
    *,
    single_threaded: bool = False,
    seed: int = 0,
  ):
    """Creates a builder.

    Args:
      config: the hyperparameters.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      logger_fn: makes the learner's logger.
      single_threaded: whether actor and learner take turns in one thread that counts
        the SGD steps that are due, as in `LocalAgent`. If not, replay itself holds them
        to `samples_per_insert`: actors are in other threads or processes.
      seed: of a resident replay's sampler; Reverb's takes none.

    Raises:
      ValueError: if the environment is not supported.
    """
    check_environment_spec(environment_spec)
    policies.check_family(environment_spec, config)
    self._config = config
    self._spec = environment_spec
    self._logger_fn = logger_fn
    # Held here, so that the iterator serves the ring that the agent saves.
    # Either kind keeps the last `max_replay_size` transitions and samples uniformly.
    self.replay: TableReplay | ResidentReplay
    if config.replay == 'resident':
      self.replay = ResidentReplay(
        config, environment_spec, single_threaded=single_threaded, seed=seed
      )
    else:
      self.replay = TableReplay(
        config, environment_spec, single_threaded=single_threaded
      )

  def make_replay_tables(self, environment_spec: Any) -> list[reverb.Table]:
    del environment_spec  # The one given to the constructor.
    return self.replay.make_tables()

  def make_dataset_iterator(self, replay_client: reverb.Client) -> Iterator[Any]:
    return self.replay.make_iterator(replay_client)

  def make_adder(self, replay_client: reverb.Client) -> adders.Adder:
    return self.replay.make_adder(replay_client)

  def make_actor(
    self,
    random_key: jax.Array,
    policy_network: acting.ActingPolicy,
    adder: adders.Adder | None = None,
    variable_source: acme.core.VariableSource | None = None,
  ) -> IQActor:
    if variable_source is None:
      raise ValueError('variable_source is None; an IQ actor needs its parameters.')
    return IQActor(policy_network, self._spec, random_key, variable_source, adder)

  def make_learner(
    self,
    random_key: jax.Array,
    networks: IQNetworks,
    dataset: Iterator[Any],
    replay_client: reverb.Client | None = None,
    counter: counting.Counter | None = None,
  ) -> IQLearner:
    del replay_client  # Only prioritised replay needs it.
    return IQLearner(
      networks,
      self._config,
      random_key,
      dataset,
      counter,
      self._logger_fn(),
      unpack=self.replay.packing.unpack_in_update,
    )
