"""The flags of a run, and the configuration and settings that they describe."""

import dataclasses
import os

from iq_acme.commands import (
  algorithms,
  config_flags,
  distribution_flags,
  environment_flags,
  parsing,
)
from iq_acme.config import IQConfig
from iq_acme.training.settings import RunSettings

_SETTINGS = (
  'env_name',
  'workdir',
  'num_steps',
  'seed',
  'evaluation_period',
  'evaluation_episodes',
  'checkpoint_period',
  'environment_patience',
  'tensorboard',
)
_DEFAULTS = {'env_name': 'gym:HalfCheetah-v4', 'workdir': None, 'num_steps': 100_000}

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.enum(
  'algorithm',
  None,
  algorithms.NAMES,
  'What is trained; unset: m_iq, or what the other flags make of it.',
)
environment_flags.define_options(FLAGS)
_define.integer('keep_checkpoints', 2, 'Checkpoints kept, the newest.')
_define.boolean(
  'checkpoint_replay',
  True,
  'Save replay with each checkpoint. Without it a resumed run refills replay first.',
)
_define.integer(
  'num_threads', None, 'Threads of XLA, TensorFlow and BLAS; unset: all cores.', 1
)
_define.integer(
  'cpu_core', None, 'Bind the run to num_threads (default 1) cores from this one on.'
)
config_flags.define_flags(RunSettings, FLAGS, _SETTINGS, _DEFAULTS)
distribution_flags.define_flags('Run as a Launchpad program of many nodes.', FLAGS)
config_flags.define_flags(IQConfig, FLAGS)


def make_config() -> algorithms.Config:
  """Makes the configuration that the flags describe.

  Raises:
    ValueError: for a value that makes no sense, a hyperparameter that the algorithm
      does not have, or one that makes another algorithm of the one that is named.
  """
  name = FLAGS.algorithm or 'm_iq'
  base = algorithms.make_config(name, FLAGS.env_name)
  known = {field.name for field in dataclasses.fields(base)}
  given = config_flags.given(IQConfig, FLAGS)
  for field in given:
    if field not in known:
      raise ValueError(
        f'--{field} is given, but {name} has no such hyperparameter; it has '
        f'{", ".join(sorted(known))}.'
      )
  config = dataclasses.replace(base, **given)
  found = algorithms.algorithm_name(config)
  if FLAGS.algorithm and found != name:
    advice = (
      f'say --algorithm={found}' if found in algorithms.NAMES else 'leave them out'
    )
    raise ValueError(f'With these flags {name} is {found}; {advice}.')
  return config


def make_settings(config: algorithms.Config) -> RunSettings:
  """Makes the settings that the flags describe.

  Args:
    config: the agent's, from `make_config`.

  Raises:
    ValueError: for a value that makes no sense.
  """
  algorithm = algorithms.algorithm_name(config)
  task = FLAGS.env_name.replace(':', '_').replace('/', '_')
  workdir = os.path.join('runs', task, algorithm, f'seed_{FLAGS.seed}')
  given = config_flags.given(RunSettings, FLAGS)
  return RunSettings(
    **{'workdir': workdir, **given, 'algorithm': algorithm},
    env_options=environment_flags.parse_options(FLAGS.env_option),
    agent_config=dataclasses.asdict(config),
    agent_defaults=dataclasses.asdict(type(config)()),
  )
