"""What the runner needs to know about a run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from iq_acme import fields
from iq_acme.environments import validation
from iq_acme.training.metrics_files import STEP_COLUMNS


@fields.documented
@dataclasses.dataclass(frozen=True)
class RunSettings:
  """Everything about a run but the code that makes its environment and its agent.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  env_name: str = fields.free(fields.REQUIRED, 'The task.')
  algorithm: str = fields.free(
    fields.REQUIRED, 'What is run, for people to read: titles, legends, tables.'
  )
  workdir: str = fields.free(
    fields.REQUIRED,
    "The run's folder; of a command, if unset, runs/<task>/<algorithm>/seed_<seed>.",
  )
  num_steps: int = fields.integer(
    fields.REQUIRED, 'Environment steps at which the run ends.'
  )
  counted_steps: str = fields.choice(
    'actor_steps',
    "What the run's steps are, in all that counts them: 'actor_steps', those of the "
    "environment, or 'learner_steps', the SGD steps of an offline run, which takes no "
    'others.',
    STEP_COLUMNS,
  )
  seed: int = fields.integer(0, "The run's one seed, from 0 to 2**32 - 1.", least=0)
  env_options: Mapping[str, Any] = fields.mapping(
    'Options that the environment is made with.'
  )
  agent_config: Mapping[str, Any] = fields.mapping(
    "The agent's hyperparameters, as JSON values."
  )
  agent_defaults: Mapping[str, Any] = fields.mapping(
    'What stands for hyperparameters that the folder of an older run does not name.'
  )
  demonstrations: Mapping[str, str] = fields.mapping(
    'Name and checksum of the transitions that replay begins with; see '
    '`datasets.fingerprint`.'
  )
  evaluation_period: int = fields.integer(10_000, 'Steps between evaluations.')
  evaluation_episodes: int = fields.integer(
    5, 'Episodes of each evaluation, of either policy.'
  )
  checkpoint_period: int = fields.integer(50_000, 'Steps between checkpoints.')
  environment_patience: int = fields.integer(
    60, 'Seconds in one call of the environment after which a line says so.'
  )
  tensorboard: bool = fields.boolean(True, 'Whether to write TensorBoard events.')
  engine: str = fields.choice(
    'agent',
    "What runs it: 'agent', Acme's parts, or 'population', beside others or alone.",
    ('agent', 'population'),
  )

  def __post_init__(self):
    fields.check(self)
    if self.seed > validation.MAX_SEED:
      raise fields.error(self, 'seed', f'at most {validation.MAX_SEED}')
    if not self.workdir:
      raise ValueError('workdir is empty; it must name a folder.')

  @property
  def is_offline(self) -> bool:
    """Whether the run learns without environment steps."""
    return self.counted_steps == 'learner_steps'

  def config(self) -> dict[str, Any]:
    """Returns what makes this run this run: what a resume must not change.

    How often it is saved and how it is shown are no part of it.
    """
    return {
      **self.metadata(),
      'num_steps': self.num_steps,
      'counted_steps': self.counted_steps,
      'demonstrations': dict(self.demonstrations),
      'evaluation_period': self.evaluation_period,
      'evaluation_episodes': self.evaluation_episodes,
      'engine': self.engine,
      'agent': dict(self.agent_config),
    }

  def defaults(self) -> dict[str, Any]:
    """Returns what `config` had before its fields could be recorded."""
    return {
      'engine': 'agent',
      'counted_steps': 'actor_steps',
      'agent': dict(self.agent_defaults),
    }

  def metadata(self) -> dict[str, Any]:
    """Returns what a saved policy carries, so that it can be evaluated alone."""
    return {
      'env_name': self.env_name,
      'env_options': dict(self.env_options),
      'algorithm': self.algorithm,
      'seed': self.seed,
    }


def task_folder(env_name: str) -> str:
  """Returns a task's name as a folder's, such as 'gym_Hopper-v4'."""
  return env_name.replace(':', '_').replace('/', '_')
