"""What the nodes of a program are made from; it travels to each of them by pickle."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import acme
import dm_env
from acme.utils import loggers

from iq_acme.config import IQConfig

if TYPE_CHECKING:
  from iq_acme.agent.builder import IQBuilder
  from iq_acme.networks import IQNetworks

# Makes the logger of 'learner', 'actor' (episodes) or 'evaluator'.
LoggerFactory = Callable[[str], loggers.Logger]
# Takes an evaluation's row, and a function that writes the evaluated policy to a file
# (its argument), with metadata (its keyword arguments) beside the usual.
EvaluationHook = Callable[[Mapping[str, float], Callable[..., None]], None]


@dataclasses.dataclass(frozen=True)
class ProgramSettings:
  """The sizes and periods of a program; see `make_distributed_iq`."""

  num_actors: int
  seed: int
  max_number_of_steps: int
  workdir: str
  evaluation_period: int = 10_000
  evaluation_episodes: int = 5
  last_evaluation: int | None = None
  checkpoint_period: int = 50_000
  keep_checkpoints: int = 2
  checkpoint_replay: bool = True
  variable_update_period: int = 10

  def __post_init__(self):
    for name, minimum in (
      ('num_actors', 1),
      ('seed', 0),
      ('max_number_of_steps', 1),
      ('evaluation_period', 1),
      ('evaluation_episodes', 1),
      ('checkpoint_period', 1),
      ('keep_checkpoints', 1),
      ('variable_update_period', 1),
    ):
      value = getattr(self, name)
      if not isinstance(value, int) or value < minimum:
        raise ValueError(
          f'{name} is {value!r}; it must be an integer from {minimum} on.'
        )
    if not self.workdir:
      raise ValueError('workdir is empty; it must name a folder that all nodes share.')

  @property
  def policy_path(self) -> str:
    """Where the policy of the last checkpoint lies."""
    return os.path.join(self.workdir, 'policy.npz')


@dataclasses.dataclass(frozen=True)
class ProgramParts:
  """What every node makes its part of the agent from.

  Attributes:
    config: the hyperparameters.
    environment_spec: the environment's specs.
    environment_factory: makes an environment from a seed.
    network_factory: makes the networks from spec and configuration.
    logger_factory: makes loggers.
    policy_metadata: is saved beside each policy.
    evaluation_hook: is called after each evaluation.
  """

  config: IQConfig
  environment_spec: acme.specs.EnvironmentSpec
  environment_factory: Callable[[int], dm_env.Environment]
  network_factory: 'Callable[[acme.specs.EnvironmentSpec, IQConfig], IQNetworks]'
  logger_factory: LoggerFactory
  policy_metadata: Mapping[str, Any]
  evaluation_hook: EvaluationHook | None = None

  def make_builder(
    self, seed: int = 0, logger: loggers.Logger | None = None
  ) -> 'IQBuilder':
    """The builder as a program of many processes uses it."""
    from iq_acme.agent.builder import IQBuilder

    return IQBuilder(
      self.config,
      self.environment_spec,
      lambda: logger,
      rate_limiter='ratio',
      drain='thread',
      seed=seed,
    )

  def make_networks(self) -> 'IQNetworks':
    """The networks, which are made anew in each process, for they are functions."""
    return self.network_factory(self.environment_spec, self.config)

  def make_tables(self) -> list[Any]:
    """The tables of the replay server."""
    return self.make_builder().make_replay_tables(self.environment_spec)
