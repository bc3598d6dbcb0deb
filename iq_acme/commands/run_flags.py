"""The flags of a run, and the configuration and settings that they describe."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from iq_acme.commands import (
  algorithms,
  config_flags,
  distribution_flags,
  environment_flags,
  parsing,
  population_flags,
)
from iq_acme.config import IQConfig
from iq_acme.training.settings import RunSettings, task_folder

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
  'engine',
)
_DEFAULTS = {
  'env_name': 'gym:HalfCheetah-v4',
  'workdir': None,
  'num_steps': 100_000,
  'engine': None,
}

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.list(
  'algorithm',
  None,
  f'What is trained: {", ".join(algorithms.NAMES)}; several for a population. Unset: '
  'm_iq, or what the other flags make of it.',
)
_define.enum(
  'settings',
  'paper',
  algorithms.SETTINGS,
  "What fields are that no flag sets: the paper's for the task, or those that were "
  'measured to learn faster, on HalfCheetah only so far (docs/learning.md). sac has one '
  'setting.',
)
environment_flags.define_options(FLAGS)
_define.string(
  'demonstrations',
  None,
  'Transitions that replay begins with: an npz file (docs/data.md), or minari:<id>, a '
  'dataset on this disk. They count for min_replay_size: so many fewer uniform steps '
  'are taken before learning starts.',
)
_define.integer(
  'num_sgd_steps',
  None,
  'SGD steps of an offline run, which learns from --demonstrations alone; in place of '
  '--num_steps. Evaluations and checkpoints are so many SGD steps apart then.',
  1,
)
_define.integer('keep_checkpoints', 2, 'Checkpoints kept, the newest.', 1)
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
population_flags.define_flags(FLAGS)
config_flags.define_flags(IQConfig, FLAGS)


def make_config(
  name: str | None = None, overrides: Mapping[str, Any] = {}
) -> algorithms.Config:
  """Makes the configuration that the flags describe.

  Args:
    name: the algorithm; that of the flags if None.
    overrides: values by field, beside those of the flags.

  Raises:
    ValueError: for a value that makes no sense, a hyperparameter that the algorithm
      does not have, or one that makes another algorithm of the one that is named.
  """
  named = name or _named_algorithm()
  base = algorithms.make_config(
    named or 'm_iq', FLAGS.env_name, settings=FLAGS.settings
  )
  known = {field.name for field in dataclasses.fields(base)}
  given = {**config_flags.given(IQConfig, FLAGS), **overrides}
  for field in given:
    if field not in known:
      raise ValueError(
        f'--{field} is given, but {named or "m_iq"} has no such hyperparameter; it has '
        f'{", ".join(sorted(known))}.'
      )
  config = dataclasses.replace(base, **given)
  found = algorithms.algorithm_name(config)
  if named and found != named:
    advice = (
      f'say --algorithm={found}' if found in algorithms.NAMES else 'leave them out'
    )
    if overrides:  # Other values of the sweep may make no other algorithm of it.
      advice = 'leave --algorithm out'
    raise ValueError(f'With these flags {named} is {found}; {advice}.')
  return config


def _named_algorithm() -> str | None:
  names = FLAGS.algorithm or [None]
  if len(names) > 1:
    raise ValueError(
      f'--algorithm={",".join(names)} names several; only a population trains more than'
      ' one: leave out what forbids that (--engine=agent, --run_distributed).'
    )
  return names[0]


def run_name(config: algorithms.Config) -> str:
  """Returns what folders and legends call it, such as 'm_iq' or 'm_iq_tuned'."""
  return algorithms.run_name(config, FLAGS.env_name, FLAGS.settings)


def make_settings(
  config: algorithms.Config,
  folder: Sequence[str] = (),
  **changes: Any,
) -> RunSettings:
  """Makes the settings that the flags describe.

  Args:
    config: the agent's, from `make_config`.
    folder: names of the run's own folder below that of the flags, if it is one of many.
    **changes: values of other fields than the flags'.

  Raises:
    ValueError: for a value that makes no sense.
  """
  algorithm = run_name(config)
  given = {
    **config_flags.given(RunSettings, FLAGS),
    **_data_settings(config),
    **changes,
  }
  root = given.pop('workdir', None)
  if not folder and root is None:
    folder = (algorithm, f'seed_{FLAGS.seed}')
  if root is None:
    root = os.path.join('runs', task_folder(FLAGS.env_name))
  return RunSettings(
    **{
      'engine': 'agent',
      **given,
      'workdir': os.path.join(root, *folder),
      'algorithm': algorithm,
    },
    env_options=environment_flags.parse_options(FLAGS.env_option),
    agent_config=dataclasses.asdict(config),
    agent_defaults=dataclasses.asdict(type(config)()),
  )


def _data_settings(config: algorithms.Config) -> dict[str, Any]:
  """Returns the settings that --demonstrations and --num_sgd_steps make.

  Raises:
    ValueError: if they exclude other flags, or there is no such file.
  """
  source, num_sgd_steps = FLAGS.demonstrations, FLAGS.num_sgd_steps
  if num_sgd_steps is not None and FLAGS['num_steps'].present:
    raise ValueError(
      '--num_sgd_steps and --num_steps are both given; give the first for an offline run, '
      'which takes no environment steps, or the second for one that does.'
    )
  if num_sgd_steps is not None and not source:
    raise ValueError(
      '--num_sgd_steps is for offline runs, which have nothing to learn from but '
      '--demonstrations: give that too.'
    )
  if not source:
    return {}
  from iq_acme import datasets  # Late, for it loads the environments' packages.

  values: dict[str, Any] = {'demonstrations': datasets.fingerprint(source)}
  if num_sgd_steps is None:
    return values
  per_call = getattr(config, 'num_sgd_steps_per_step', 1)
  for name, steps in {
    'num_sgd_steps': num_sgd_steps,
    'evaluation_period': FLAGS.evaluation_period,
    'checkpoint_period': FLAGS.checkpoint_period,
  }.items():
    if steps % per_call:
      raise ValueError(
        f'--{name}={steps} must be a multiple of --num_sgd_steps_per_step={per_call}, '
        'the SGD steps that an offline run takes at once.'
      )
  return {**values, 'num_steps': num_sgd_steps, 'counted_steps': 'learner_steps'}


def print_if_too_short(num_steps: int, min_replay_size: int) -> None:
  """Says so if a run ends before its first SGD step."""
  if num_steps <= min_replay_size:
    print(
      f'Too short to learn: {num_steps:,} steps, and learning starts after '
      f'{min_replay_size:,} (--min_replay_size).',
      flush=True,
    )
