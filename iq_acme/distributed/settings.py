"""Settings and parts of a program's nodes; they travel to each of them by pickle."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import acme
import dm_env
from acme.utils import loggers

from iq_acme import fields
from iq_acme.config import IQConfig

if TYPE_CHECKING:
  from iq_acme.agent.builder import IQBuilder
  from iq_acme.networks import IQNetworks

# The evaluator's node.
EVALUATOR = 'evaluator/0'
# Makes the logger of 'learner', 'actor' (episodes) or 'evaluator'.
LoggerFactory = Callable[[str], loggers.Logger]
# Takes an evaluation's row, and a function that writes the evaluated policy to a file
# (its argument), with metadata (its keyword arguments) beside the usual.
EvaluationHook = Callable[[Mapping[str, float], Callable[..., None]], None]


@fields.documented
@dataclasses.dataclass(frozen=True)
class ProgramSettings:
  """The sizes and periods of a program; see `make_distributed_iq`.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  num_actors: int = fields.integer(
    fields.REQUIRED, 'Actors, each with an environment of its own.'
  )
  max_number_of_steps: int = fields.integer(
    fields.REQUIRED,
    'Environment steps, over all actors and resumes, at which the run ends; they are '
    'never overshot.',
  )
  workdir: str = fields.free(
    fields.REQUIRED,
    'Where `checkpoints/` and `policy.npz` are written; the newest whole checkpoint '
    'there is resumed. On several machines, a folder that learner and replay share.',
  )
  seed: int = fields.integer(
    0,
    "What parameters, actions, batches and the environments' seeds are drawn from. "
    'Actors differ by their rank. A seed does not determine a run of many processes.',
    least=0,
  )
  evaluation_period: int = fields.integer(10_000, 'Actor steps between evaluations.')
  evaluation_episodes: int = fields.integer(
    5, 'Episodes of each evaluation, of either policy.'
  )
  last_evaluation: int | None = fields.free(
    None,
    'The actor steps of the last evaluation before a resume, which is not made again; '
    'None evaluates at once.',
  )
  checkpoint_period: int = fields.integer(50_000, 'Actor steps between checkpoints.')
  keep_checkpoints: int = fields.integer(2, 'How many of the newest are kept.')
  checkpoint_replay: bool = fields.boolean(
    True, 'Whether checkpoints hold what is in replay.'
  )
  variable_update_period: int = fields.integer(
    10, 'Steps of an actor between requests for newer parameters.'
  )
  environment_patience: int = fields.integer(
    60,
    'Seconds in one call of an environment after which its node is named; the steps '
    'that it has claimed go to the other actors then.',
  )

  def __post_init__(self):
    fields.check(self)
    if not self.workdir:
      raise ValueError('workdir is empty; it must name a folder that all nodes share.')
    # Nodes may have other working directories.
    workdir = os.path.abspath(os.path.expanduser(self.workdir))
    object.__setattr__(self, 'workdir', workdir)

  @property
  def report_seconds(self) -> float:
    """How often nodes with environments report that they live."""
    return min(1.0, self.environment_patience / 4)

  @property
  def policy_path(self) -> str:
    """Where the policy of the last checkpoint lies."""
    return os.path.join(self.workdir, 'policy.npz')


@dataclasses.dataclass(frozen=True)
class ProgramParts:
  """Holds what every node makes its part of the agent from.

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
    """Returns the builder as a program of many processes uses it."""
    from iq_acme.agent.builder import IQBuilder

    return IQBuilder(
      self.config,
      self.environment_spec,
      lambda: logger,
      seed=seed,
    )

  def make_networks(self) -> 'IQNetworks':
    """Makes the networks, which are functions, anew in each process."""
    return self.network_factory(self.environment_spec, self.config)

  def make_tables(self) -> list[Any]:
    """Returns the tables of the replay server."""
    return self.make_builder().make_replay_tables(self.environment_spec)
