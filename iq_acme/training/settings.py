"""What the runner needs to know about a run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from iq_acme.environments import validation


@dataclasses.dataclass(frozen=True)
class RunSettings:
  """Everything about a run but the code that makes its environment and its agent.

  Attributes:
    env_name: the task.
    algorithm: what is run, for people to read: titles, legends, tables.
    workdir: the run's folder.
    num_steps: environment steps at which the run ends.
    seed: the run's one seed, from 0 to 2**32 - 1.
    env_options: options that the environment is made with.
    agent_config: the agent's hyperparameters, as JSON values.
    agent_defaults: what stands for hyperparameters that the folder of an older run
      does not name.
    evaluation_period: steps between evaluations.
    evaluation_episodes: episodes of each evaluation, of either policy.
    checkpoint_period: steps between checkpoints.
    tensorboard: whether to write TensorBoard events.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  env_name: str
  algorithm: str
  workdir: str
  num_steps: int
  seed: int = 0
  env_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  agent_config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  agent_defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  evaluation_period: int = 10_000
  evaluation_episodes: int = 5
  checkpoint_period: int = 50_000
  tensorboard: bool = True

  def __post_init__(self):
    for name, minimum in (
      ('num_steps', 1),
      ('seed', 0),
      ('evaluation_period', 1),
      ('evaluation_episodes', 1),
      ('checkpoint_period', 1),
    ):
      value = getattr(self, name)
      if value < minimum:
        raise ValueError(f'{name} is {value!r}; it must be at least {minimum}.')
    if self.seed > validation.MAX_SEED:
      raise ValueError(
        f'seed is {self.seed}; it must be at most {validation.MAX_SEED}.'
      )
    if not self.workdir:
      raise ValueError('workdir is empty; it must name a folder.')

  def config(self) -> dict[str, Any]:
    """Returns what makes this run this run: what a resume must not change.

    How often it is saved and how it is shown are no part of it.
    """
    return {
      'env_name': self.env_name,
      'env_options': dict(self.env_options),
      'algorithm': self.algorithm,
      'seed': self.seed,
      'num_steps': self.num_steps,
      'evaluation_period': self.evaluation_period,
      'evaluation_episodes': self.evaluation_episodes,
      'agent': dict(self.agent_config),
    }

  def defaults(self) -> dict[str, Any]:
    """Returns what `config` had before its fields could be recorded."""
    return {'agent': dict(self.agent_defaults)}

  def metadata(self) -> dict[str, Any]:
    """Returns what a saved policy carries, so that it can be evaluated alone."""
    return {
      'env_name': self.env_name,
      'env_options': dict(self.env_options),
      'algorithm': self.algorithm,
      'seed': self.seed,
    }
