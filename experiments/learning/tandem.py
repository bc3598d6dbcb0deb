"""Learns from what another algorithm does, step by step, without acting itself.

    python -m experiments.learning.tandem --learning=m_iq --acting=sac
    python -m experiments.learning.tandem --learning_fields='{"advantage_bound": 1}'
    python -m experiments.learning.tandem --learning=sac --acting=sac --learning_seed=100

The algorithm that acts trains as it does alone, with the same seed. The other gets every
transition of its, in a replay of its own, takes as many SGD steps, and is the one that is
evaluated. If it does better than when it acts, its own data were what held it back
(exploration). If it does worse, that says little by itself, for most algorithms learn
worse from what others do: hold it against the acting algorithm learning so from itself.
See Ostrovski et al. (2021), "The Difficulty of Passive Learning in Deep Reinforcement
Learning", https://arxiv.org/abs/2110.14020.

Both act in [-1, 1], as SAC does. A run's folder is that of any run, `--root/<task>/
<learning>_from_<acting>/seed_<n>`, for `python -m iq_acme plot`; its curve of training is
that of the algorithm that acts, whose policy is `acting/policy.npz`. The same command
goes on.
"""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.paper import plans
from experiments.paper.settings import Variant
from iq_acme import process
from iq_acme.commands import algorithms, config_flags, parsing
from iq_acme.storage import files
from iq_acme.training.settings import RunSettings

if TYPE_CHECKING:
  import dm_env
  import numpy as np

  from iq_acme.training.metrics_files import Logger
  from iq_acme.training.protocols import Agent

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.enum('learning', 'm_iq', algorithms.NAMES, 'What is evaluated; never acts.')
_define.enum('acting', 'sac', algorithms.NAMES, 'What acts.')
_define.integer(
  'learning_seed',
  None,
  'What the one that learns is made from; unset: --seed, as the one that acts.',
  lower_bound=0,
)
_define.string(
  'learning_fields',
  '{}',
  "Settings of the one that learns, beside the paper's, as JSON.",
)
_define.string('root', os.path.join('runs', 'tandem'), 'Folder of all runs.')
_define.integer('cpu_core', None, 'Bind the run to this core.', lower_bound=0)
config_flags.define_flags(
  RunSettings,
  FLAGS,
  ('env_name', 'num_steps', 'seed', 'evaluation_period', 'checkpoint_period'),
  {'env_name': 'gym:HalfCheetah-v4', 'num_steps': 200_000},
)


class TandemAgent:
  """An agent that is evaluated, and another that acts for both.

  Whatever is not here is of the one that is evaluated: its counts, its evaluations, the
  policy that is saved.
  """

  def __init__(
    self,
    learning: 'Agent',
    acting: 'Agent',
    acting_policy: str,
    metadata: Mapping[str, Any],
  ):
    """Joins two agents that have seen the same steps.

    Args:
      learning: is evaluated.
      acting: chooses the actions.
      acting_policy: where its policy is saved with each checkpoint.
      metadata: what is saved beside that.

    Raises:
      ValueError: if their checkpoints are of other steps, as a kill between both leaves
        them.
    """
    self._learning = learning
    self._acting = acting
    self._acting_policy, self._metadata = acting_policy, metadata
    if learning.actor_steps != acting.actor_steps:
      newer = max(learning, acting, key=lambda agent: agent.actor_steps)
      raise ValueError(
        f'The checkpoints are of steps {learning.actor_steps:,} and '
        f'{acting.actor_steps:,}: the run was killed between them. Move '
        f'{newer.restored_from} away.'
      )

  def __getattr__(self, name: str) -> Any:
    return getattr(self._learning, name)

  def select_action(self, observation: Any) -> 'np.ndarray':
    """Returns the other's action."""
    return self._acting.select_action(observation)

  def observe_first(self, timestep: 'dm_env.TimeStep') -> None:
    """Shows both the first step of an episode."""
    self._acting.observe_first(timestep)
    self._learning.observe_first(timestep)

  def observe(self, action: 'np.ndarray', next_timestep: 'dm_env.TimeStep') -> None:
    """Shows both a step."""
    self._acting.observe(action, next_timestep)
    self._learning.observe(action, next_timestep)

  def update(self) -> None:
    """Lets both learn, if it is time to."""
    self._acting.update()
    self._learning.update()

  def save(self) -> Any:
    """Saves both, the one that is evaluated last."""
    self._acting.save()
    metadata = {**self._metadata, 'actor_steps': self.actor_steps}
    self._acting.save_policy(self._acting_policy, metadata=metadata)
    return self._learning.save()

  def close(self) -> None:
    """Closes both."""
    with contextlib.closing(self._acting):
      self._learning.close()


def make_settings() -> RunSettings:
  """Makes the settings that the flags describe.

  Raises:
    ValueError: for a value that makes no sense.
  """
  if FLAGS.learning == FLAGS.acting and _learning_seed() == FLAGS.seed:
    raise ValueError(
      f'Both are {FLAGS.acting} of seed {FLAGS.seed}, and so the same to the last digit: '
      'give --learning_seed.'
    )
  agent_config: dict[str, Any] = {
    role: files.as_json(dataclasses.asdict(config))
    for role, config in _make_configs().items()
  }
  if _learning_seed() != FLAGS.seed:
    agent_config['learning_seed'] = _learning_seed()
  learning = Variant(FLAGS.learning, _learning_fields())
  alone = plans.make_run(FLAGS.env_name, learning, FLAGS.seed, 1)
  name = f'{alone.variant}_from_{FLAGS.acting}'
  task, _, seed = alone.folder.split(os.sep)
  return RunSettings(
    **config_flags.given(RunSettings, FLAGS),
    algorithm=name,
    workdir=os.path.join(FLAGS.root, task, name, seed),
    agent_config=agent_config,
    tensorboard=False,
  )


def main() -> int:
  """Runs, or goes on with, what the flags say; returns the exit status."""
  from iq_acme import make_environment
  from iq_acme.baselines.sac.agent import canonical
  from iq_acme.training import metrics_files, quiet, run_directory, runner

  with parsing.refusing(ValueError):
    settings = make_settings()
    process.limit_threads(1, FLAGS.cpu_core)
  quiet.quiet_logs()

  def make_task(seed: int) -> 'dm_env.Environment':
    with parsing.refusing(ValueError, RuntimeError):
      return canonical(make_environment(settings.env_name, seed))

  def make_agent(
    environment: 'dm_env.Environment', workdir: str, logger: 'Logger'
  ) -> TandemAgent:
    folders = {'learning': workdir, 'acting': os.path.join(workdir, 'acting')}
    loggers = {'learning': logger, 'acting': metrics_files.MultiLogger([])}
    seeds = {'learning': _learning_seed(), 'acting': settings.seed}
    agents = {
      role: algorithms.make_agent(
        config, environment, folders[role], loggers[role], seed=seeds[role]
      )
      for role, config in _make_configs().items()
    }
    policy = os.path.join(folders['acting'], 'policy.npz')
    metadata = {**settings.metadata(), 'algorithm': FLAGS.acting}
    with parsing.refusing(ValueError):
      return TandemAgent(**agents, acting_policy=policy, metadata=metadata)

  with parsing.refusing(run_directory.RunDirectoryError, files.DamagedFileError):
    return runner.run(settings, make_task, make_agent).exit_status


def _learning_seed() -> int:
  return FLAGS.seed if FLAGS.learning_seed is None else FLAGS.learning_seed


def _learning_fields() -> dict[str, Any]:
  try:
    found = json.loads(FLAGS.learning_fields)
  except ValueError as error:
    raise ValueError(f'--learning_fields={FLAGS.learning_fields}: {error}.') from None
  if not isinstance(found, dict):
    raise ValueError(f'--learning_fields={FLAGS.learning_fields} is no object of JSON.')
  return found


def _make_configs() -> dict[str, algorithms.Config]:
  """Returns the configuration of either role."""
  task = FLAGS.env_name
  return {
    'learning': algorithms.make_config(FLAGS.learning, task, _learning_fields()),
    'acting': algorithms.make_config(FLAGS.acting, task),
  }


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
