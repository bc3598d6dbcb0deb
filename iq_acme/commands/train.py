"""Trains an algorithm on one task, and leaves curves, checkpoints and a policy behind.

  python -m iq_acme train --env_name=gym:HalfCheetah-v4 --num_steps=100000
  python -m iq_acme train --algorithm=sac --env_name=gym:Hopper-v4

The algorithm is M-IQ with the paper's settings for the task, or what --algorithm says;
every field of IQConfig is a flag of the same name. Of those, `sac` takes the ones it has
too. The same command again goes on where the last one stopped.

Exit status: 0 when the last step is reached, 1 when the run failed, 2 when it was
refused (flags, folder), 130 after Ctrl-C and 143 after SIGTERM, both resumable.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

from iq_acme import process
from iq_acme.commands import (
  algorithms,
  config_flags,
  distribution_flags,
  environment_flags,
  parsing,
)
from iq_acme.config import IQConfig

if TYPE_CHECKING:
  import dm_env

  from iq_acme.training.metrics_files import Logger
  from iq_acme.training.protocols import Agent
  from iq_acme.training.runner import Outcome
  from iq_acme.training.settings import RunSettings

FLAGS = parsing.new_flags()

flags.DEFINE_enum(
  'algorithm',
  None,
  algorithms.NAMES,
  'What is trained; unset: m_iq, or what the other flags make of it.',
  flag_values=FLAGS,
)
flags.DEFINE_string('env_name', 'gym:HalfCheetah-v4', 'Task.', flag_values=FLAGS)
environment_flags.define_options(FLAGS)
config_flags.define_integer(
  'num_steps', 100_000, 'Environment steps at which the run ends.', flag_values=FLAGS
)
config_flags.define_integer('seed', 0, 'Seed of the run.', flag_values=FLAGS)
flags.DEFINE_string(
  'workdir',
  None,
  'Folder of the run; unset: runs/<task>/<algorithm>/seed_<seed>.',
  flag_values=FLAGS,
)
config_flags.define_integer(
  'evaluation_period', 10_000, 'Steps between evaluations.', flag_values=FLAGS
)
config_flags.define_integer(
  'evaluation_episodes',
  5,
  'Episodes of an evaluation, for either policy.',
  flag_values=FLAGS,
)
config_flags.define_integer(
  'checkpoint_period', 50_000, 'Steps between checkpoints.', flag_values=FLAGS
)
config_flags.define_integer(
  'keep_checkpoints', 2, 'Checkpoints kept, the newest.', flag_values=FLAGS
)
config_flags.define_integer(
  'environment_patience',
  60,
  'Seconds in one call of the environment after which a line says so.',
  flag_values=FLAGS,
)
flags.DEFINE_boolean(
  'checkpoint_replay',
  True,
  'Save replay with each checkpoint. Without it a resumed run refills replay first.',
  flag_values=FLAGS,
)
flags.DEFINE_boolean(
  'tensorboard', True, 'Write TensorBoard events.', flag_values=FLAGS
)
config_flags.define_integer(
  'num_threads',
  None,
  'Threads of XLA, TensorFlow and BLAS; unset: all cores.',
  lower_bound=1,
  flag_values=FLAGS,
)
config_flags.define_integer(
  'cpu_core',
  None,
  'Bind the run to num_threads (default 1) cores from this one on.',
  flag_values=FLAGS,
)
distribution_flags.define_flags('Run as a Launchpad program of many nodes.', FLAGS)
config_flags.define_flags(IQConfig, FLAGS)

_FAILED, _REFUSED = 1, 2


def main(argv: Sequence[str]) -> int:
  """Runs what the flags say; returns the exit status."""
  if len(argv) > 1:
    return _refuse(f'Arguments that are no flags: {argv[1:]}.')
  try:
    if FLAGS.num_threads is not None or FLAGS.cpu_core is not None:
      process.limit_threads(FLAGS.num_threads or 1, FLAGS.cpu_core)
    config = _make_config()
    settings = _settings(config)
    distribution_flags.check_flags(FLAGS)
  except ValueError as error:
    return _refuse(str(error))
  try:
    if FLAGS.run_distributed:
      return _train_distributed(settings, config)
    return _train(settings, config)
  except KeyboardInterrupt:  # While loading, before the run takes signals over.
    return 130


def _make_config() -> algorithms.Config:
  """The configuration that the flags describe.

  Raises:
    ValueError: for a value that makes no sense, a hyperparameter that the algorithm
      does not have, or one that makes another algorithm of the one that is named.
  """
  name = FLAGS.algorithm or 'm_iq'
  base = algorithms.make_config(name, FLAGS.env_name)
  known = {field.name for field in dataclasses.fields(base)}
  for field in dataclasses.fields(IQConfig):
    if field.name not in known and FLAGS[field.name].value is not None:
      raise ValueError(
        f'--{field.name} is given, but {name} has no such hyperparameter; it has '
        f'{", ".join(sorted(known))}.'
      )
  config = config_flags.apply_flags(base, FLAGS)
  found = algorithms.algorithm_name(config)
  if FLAGS.algorithm and found != name:
    advice = (
      f'say --algorithm={found}' if found in algorithms.NAMES else 'leave them out'
    )
    raise ValueError(f'With these flags {name} is {found}; {advice}.')
  return config


class _Refusal(Exception):
  """Input that nothing can be made of, in words."""


def _train(settings: 'RunSettings', config: algorithms.Config) -> int:
  _print_title(settings, config)
  # Late, because threads are limited before and the flags' help needs none of it.
  from iq_acme.environments import BadReturnError, make_environment
  from iq_acme.storage import files
  from iq_acme.training import quiet, run_directory, runner, versions

  quiet.quiet_logs()

  def make_task(seed: int) -> 'dm_env.Environment':
    with _refusing(ValueError, RuntimeError):
      environment = make_environment(settings.env_name, seed, **settings.env_options)
      return algorithms.wrap_environment(config, environment)

  def make_agent(
    environment: 'dm_env.Environment', workdir: str, logger: 'Logger'
  ) -> 'Agent':
    with _refusing(ValueError):
      return algorithms.make_agent(
        config,
        environment,
        workdir,
        logger,
        seed=settings.seed,
        keep_checkpoints=FLAGS.keep_checkpoints,
        checkpoint_replay=FLAGS.checkpoint_replay,
      )

  try:
    outcome = runner.run(settings, make_task, make_agent)
  except (
    _Refusal,
    run_directory.RunDirectoryError,
    files.DamagedFileError,
  ) as error:
    return _refuse(str(error))
  except (BadReturnError, FloatingPointError) as error:  # Of the environment.
    print(f'\nStopped: {error}', file=sys.stderr)
    return _FAILED
  except RuntimeError as error:
    # Here, so that a run that is refused or finished need not wait for TensorFlow.
    from iq_acme import NonFiniteActionError, NonFiniteLossError

    if not isinstance(error, (NonFiniteActionError, NonFiniteLossError)):
      raise
    print(f'\nStopped: {error}', file=sys.stderr)
    return _FAILED
  return _report(outcome, settings.workdir, versions.command_line())


def _train_distributed(settings: 'RunSettings', config: algorithms.Config) -> int:
  if not isinstance(config, IQConfig):
    return _refuse(
      f'--run_distributed is given, but {settings.algorithm} runs in one process only.'
    )
  _print_title(settings, config)
  from iq_acme.commands import distributed_runner
  from iq_acme.training import quiet, run_directory, versions

  quiet.quiet_logs()
  options = distributed_runner.ProgramOptions(
    num_actors=FLAGS.num_actors,
    launch_type=FLAGS.lp_launch_type,
    keep_checkpoints=FLAGS.keep_checkpoints,
    checkpoint_replay=FLAGS.checkpoint_replay,
    listen=FLAGS.listen,
  )
  try:
    outcome = distributed_runner.run(settings, config, options)
  except (ValueError, run_directory.RunDirectoryError) as error:
    return _refuse(str(error))
  except RuntimeError as error:
    # Here, so that a run that is refused or finished need not wait for TensorFlow.
    from iq_acme.distributed import NodeFailedError

    if not isinstance(error, NodeFailedError):
      raise
    print(f'\nStopped: {error}', file=sys.stderr)
    return _FAILED
  return _report(outcome, settings.workdir, versions.command_line())


def _print_title(settings: 'RunSettings', config: algorithms.Config) -> None:
  print(f'{settings.algorithm} on {settings.env_name}, seed {settings.seed}')
  print(f'Folder: {settings.workdir}', flush=True)
  if settings.num_steps <= config.min_replay_size:
    print(
      f'Too short to learn: {settings.num_steps:,} steps, and learning starts after '
      f'{config.min_replay_size:,} (--min_replay_size).',
      flush=True,
    )


def _report(outcome: 'Outcome', workdir: str, command: str) -> int:
  from iq_acme.training.run_directory import RunDirectory

  if not outcome.finished:
    print(f'Stopped at step {outcome.actor_steps:,}. To go on:\n  {command}')
    return outcome.exit_status
  directory = RunDirectory(workdir)
  line = f'Policy: {directory.policy} · curve: {directory.curve}'
  if best := directory.read_summary().get('best_evaluation'):
    line += (
      f' · best evaluation: {best["mode_return_mean"]:,.1f} at step '
      f'{best["actor_steps"]:,}, {directory.best_policy}'
    )
  print(line)
  return outcome.exit_status


@contextlib.contextmanager
def _refusing(*errors: type[Exception]) -> Iterator[None]:
  try:
    yield
  except errors as error:
    raise _Refusal(str(error)) from error


def _settings(config: algorithms.Config) -> 'RunSettings':
  from iq_acme.training.settings import RunSettings

  algorithm = algorithms.algorithm_name(config)
  return RunSettings(
    env_name=FLAGS.env_name,
    env_options=environment_flags.parse_options(FLAGS.env_option),
    algorithm=algorithm,
    workdir=FLAGS.workdir or _default_workdir(algorithm),
    num_steps=FLAGS.num_steps,
    seed=FLAGS.seed,
    agent_config=dataclasses.asdict(config),
    agent_defaults=dataclasses.asdict(type(config)()),
    evaluation_period=FLAGS.evaluation_period,
    evaluation_episodes=FLAGS.evaluation_episodes,
    checkpoint_period=FLAGS.checkpoint_period,
    environment_patience=FLAGS.environment_patience,
    tensorboard=FLAGS.tensorboard,
  )


def _default_workdir(algorithm: str) -> str:
  task = FLAGS.env_name.replace(':', '_').replace('/', '_')
  return os.path.join('runs', task, algorithm, f'seed_{FLAGS.seed}')


def _refuse(message: str) -> int:
  print(message, file=sys.stderr)
  return _REFUSED


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command with its arguments; returns the exit status."""
  return parsing.run(main, FLAGS, __doc__, argv)
