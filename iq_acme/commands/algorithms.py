"""Algorithms by name: their configurations for a task, and what makes their agents."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.config import IQConfig, paper_config, tuned_config

if TYPE_CHECKING:
  import dm_env

  from iq_acme.population.algorithm import Family
  from iq_acme.training.metrics_files import Logger
  from iq_acme.training.protocols import Agent
  from iq_acme.transitions import Transition

Config: TypeAlias = IQConfig | SACHyperparameters

# The paper's temperature of both (Section 6).
_PCL = {'value_bootstrap': 'online', 'temperature': 1e-4}
# What each differs by from M-IQ's settings for the task.
_IQ_ALGORITHMS: dict[str, dict[str, Any]] = {
  'iq': {'munchausen_coefficient': 0.0},
  'm_iq': {},
  'pcl': {**_PCL, 'munchausen_coefficient': 0.0},
  'trust_pcl': _PCL,
  'iq_gaussian': {'munchausen_coefficient': 0.0, 'policy_family': 'gaussian'},
  'm_iq_gaussian': {'policy_family': 'gaussian'},
  'iq_autoregressive': {
    'munchausen_coefficient': 0.0,
    'policy_family': 'autoregressive',
  },
  'm_iq_autoregressive': {'policy_family': 'autoregressive'},
}
NAMES = (*_IQ_ALGORITHMS, 'sac')
SETTINGS = {'paper': paper_config, 'tuned': tuned_config}


def make_config(
  name: str,
  task: str,
  overrides: Mapping[str, Any] = {},
  settings: str = 'paper',
) -> Config:
  """Returns an algorithm's settings for a task, with changes.

  Args:
    name: one of `NAMES`.
    task: an environment name such as 'gym:Humanoid-v4'.
    overrides: values by field.
    settings: one of `SETTINGS`, whose values `overrides` change. SAC has one only.

  Returns:
    The configuration.

  Raises:
    ValueError: for an unknown name, settings or field, or a value that makes no sense.
  """
  if name not in NAMES:
    raise ValueError(f'algorithm is {name!r}; it must be one of {", ".join(NAMES)}.')
  if settings not in SETTINGS:
    raise ValueError(
      f'settings is {settings!r}; it must be one of {", ".join(SETTINGS)}.'
    )
  config: Config
  if name == 'sac':
    # The paper gives both learning rates for Adroit and Gym, and found no use in a
    # lower one for SAC on Humanoid and Walker.
    config = SACHyperparameters(
      learning_rate=3e-5 if task.startswith('adroit:') else 3e-4
    )
  else:
    config = dataclasses.replace(SETTINGS[settings](task), **_IQ_ALGORITHMS[name])
  fields = [field.name for field in dataclasses.fields(config)]
  for field in overrides:
    if field not in fields:
      raise ValueError(
        f'{name} has no hyperparameter {field!r}; it has {", ".join(fields)}.'
      )
  return dataclasses.replace(config, **overrides)


def algorithm_name(config: Config) -> str:
  """Returns the name of the algorithm that a configuration amounts to."""
  if isinstance(config, SACHyperparameters):
    return 'sac'
  munchausen = config.munchausen_coefficient > 0
  if config.value_bootstrap == 'online':
    name = 'trust_pcl' if munchausen else 'pcl'
  else:
    name = 'm_iq' if munchausen else 'iq'
  is_papers = config.policy_family == IQConfig.policy_family
  return name if is_papers else f'{name}_{config.policy_family}'


def run_name(config: Config, task: str, settings: str = 'paper') -> str:
  """Returns what folders and legends call a run, such as 'm_iq' or 'm_iq_tuned'.

  Args:
    config: what `make_config` returns.
    task: the task that it was made for.
    settings: the settings that it was made from; named if the task has such.
  """
  name = algorithm_name(config)
  is_papers = SETTINGS[settings](task) == paper_config(task)
  return name if is_papers or name == 'sac' else f'{name}_{settings}'


def family(config: Config) -> 'Family':
  """Returns how configurations of this one's class become a population's algorithms."""
  if isinstance(config, SACHyperparameters):
    from iq_acme.baselines.sac.population import FAMILY
  else:
    from iq_acme.population.iq import FAMILY
  return FAMILY


def wrap_environment(
  config: Config, environment: 'dm_env.Environment'
) -> 'dm_env.Environment':
  """Wraps the environment as the algorithm takes it: SAC's has actions in [-1, 1]."""
  if isinstance(config, SACHyperparameters):
    from iq_acme.baselines.sac import agent

    return agent.canonical(environment)
  return environment


def read_demonstrations(
  config: Config, environment: 'dm_env.Environment', source: str
) -> 'Transition':
  """Reads transitions of a task as the algorithm's agent takes them.

  Args:
    config: what `make_config` returns.
    environment: what `wrap_environment` returns; the actions that are read are in the
      units of the one that it wrapped.
    source: see `datasets.read_transitions`.

  Raises:
    ValueError: if they do not fit the environment.
  """
  from iq_acme import datasets
  from iq_acme.spec_checks import make_environment_spec

  is_sac = isinstance(config, SACHyperparameters)
  spec = make_environment_spec(environment.environment if is_sac else environment)
  n_step = getattr(config, 'n_step', 1)
  read = datasets.read_transitions(
    source, spec, n_step=n_step, discount=config.discount
  )
  if is_sac:
    from iq_acme.baselines.sac.agent import canonical_actions

    read = read._replace(action=canonical_actions(read.action, spec.actions))
  return read


def make_agent(
  config: Config,
  environment: 'dm_env.Environment',
  workdir: str,
  logger: 'Logger',
  *,
  seed: int,
  demonstrations: 'Transition | None' = None,
  keep_checkpoints: int = 2,
  checkpoint_replay: bool = True,
) -> 'Agent':
  """Makes the agent that a configuration describes.

  Args:
    config: what `make_config` returns.
    environment: what `wrap_environment` returns.
    workdir: where checkpoints go; the newest whole one is restored.
    logger: gets the learner's metrics.
    seed: what parameters, actions and batches are drawn from.
    demonstrations: transitions that replay begins with, of `read_demonstrations`.
    keep_checkpoints: how many of the newest are kept.
    checkpoint_replay: whether checkpoints hold what is in replay.

  Raises:
    ValueError: if the environment or a checkpoint does not fit.
  """
  from acme import specs

  spec = specs.make_environment_spec(environment)
  settings = {
    'seed': seed,
    'workdir': workdir,
    'logger': logger,
    'demonstrations': demonstrations,
    'keep_checkpoints': keep_checkpoints,
    'checkpoint_replay': checkpoint_replay,
  }
  if isinstance(config, SACHyperparameters):
    from iq_acme.baselines.sac.agent import SACAgent

    return SACAgent(spec, config, **settings)
  from iq_acme import make_iq_agent

  return make_iq_agent(spec, config=config, **settings)
