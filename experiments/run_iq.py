"""Trains IQ on one task, and leaves curves, checkpoints and a policy in one folder.

  python experiments/run_iq.py --env_name=gym:HalfCheetah-v4 --num_steps=100000

The algorithm is M-IQ with the paper's settings for the task; every field of IQConfig
is a flag of the same name. The same command again goes on where the last one stopped.

Exit status: 0 when the last step is reached, 1 when the run failed, 2 when it was
refused (flags, folder), 130 after Ctrl-C and 143 after SIGTERM, both resumable.
"""

import ast
import contextlib
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

# So that a clone runs without being installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import app, flags

from experiments import algorithms, config_flags, distribution_flags, threads
from iq_acme.config import IQConfig, paper_config

if TYPE_CHECKING:
  import dm_env

  from experiments.metrics_files import Logger
  from experiments.protocols import Agent
  from experiments.runner import Outcome
  from experiments.settings import RunSettings

FLAGS = flags.FLAGS

flags.DEFINE_string('env_name', 'gym:HalfCheetah-v4', 'Task.')
flags.DEFINE_multi_string(
  'env_option', [], 'Option of the environment, name=value; may be repeated.'
)
flags.DEFINE_integer('num_steps', 100_000, 'Environment steps at which the run ends.')
flags.DEFINE_integer('seed', 0, 'Seed of the run.')
flags.DEFINE_string(
  'workdir', None, 'Folder of the run; unset: runs/<task>/<algorithm>/seed_<seed>.'
)
flags.DEFINE_integer('evaluation_period', 10_000, 'Steps between evaluations.')
flags.DEFINE_integer(
  'evaluation_episodes', 5, 'Episodes of an evaluation, for either policy.'
)
flags.DEFINE_integer('checkpoint_period', 50_000, 'Steps between checkpoints.')
flags.DEFINE_integer('keep_checkpoints', 2, 'Checkpoints kept, the newest.')
flags.DEFINE_boolean(
  'checkpoint_replay',
  True,
  'Save replay with each checkpoint. Without it a resumed run refills replay first.',
)
flags.DEFINE_boolean('tensorboard', True, 'Write TensorBoard events.')
flags.DEFINE_integer(
  'num_threads',
  None,
  'Threads of XLA, TensorFlow and BLAS; unset: all cores.',
  lower_bound=1,
)
flags.DEFINE_integer(
  'cpu_core', None, 'Bind the run to num_threads (default 1) cores from this one on.'
)
distribution_flags.define_flags('Run as a Launchpad program of many nodes.')
config_flags.define_flags(IQConfig, FLAGS)

_FAILED, _REFUSED = 1, 2
_ENVIRONMENT_ARGUMENTS = {'name': 'env_name', 'seed': 'seed'}


def main(argv: Sequence[str]) -> int:
  """Runs the script; returns its exit status."""
  return run(
    argv, lambda: config_flags.apply_flags(paper_config(FLAGS.env_name), FLAGS)
  )


def run(argv: Sequence[str], make_config: Callable[[], algorithms.Config]) -> int:
  """Runs what the flags say.

  Args:
    argv: the command line that is left when the flags are taken from it.
    make_config: makes the algorithm's configuration from the flags.

  Returns:
    The exit status.
  """
  if len(argv) > 1:
    return _refuse(f'Arguments that are no flags: {argv[1:]}.')
  try:
    if FLAGS.num_threads is not None or FLAGS.cpu_core is not None:
      threads.limit_threads(FLAGS.num_threads or 1, FLAGS.cpu_core)
    config = make_config()
    settings = _settings(config)
    distribution_flags.check_flags()
  except ValueError as error:
    return _refuse(str(error))
  try:
    if FLAGS.run_distributed:
      return _train_distributed(settings, config)
    return _train(settings, config)
  except KeyboardInterrupt:  # While loading, before the run takes signals over.
    return 130


class _Refusal(Exception):
  """Input that nothing can be made of, in words."""


def _train(settings: 'RunSettings', config: algorithms.Config) -> int:
  _print_title(settings)
  # Late, because threads are limited before and the flags' help needs none of it.
  from experiments import files, quiet, run_directory, runner, versions
  from iq_acme import make_environment

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
  except RuntimeError as error:
    # Here, so that a run that is refused or finished need not wait for TensorFlow.
    from iq_acme import NonFiniteActionError, NonFiniteLossError

    if not isinstance(error, (NonFiniteActionError, NonFiniteLossError)):
      raise
    print(f'\nStopped: {error}', file=sys.stderr)
    return _FAILED
  return _report(outcome, versions.command_line())


def _train_distributed(settings: 'RunSettings', config: algorithms.Config) -> int:
  if not isinstance(config, IQConfig):
    return _refuse(
      f'--run_distributed is given, but {settings.algorithm} runs in one process only.'
    )
  _print_title(settings)
  from experiments import distributed_runner, quiet, run_directory, versions

  quiet.quiet_logs()
  options = distributed_runner.ProgramOptions(
    num_actors=FLAGS.num_actors,
    launch_type=FLAGS.lp_launch_type,
    keep_checkpoints=FLAGS.keep_checkpoints,
    checkpoint_replay=FLAGS.checkpoint_replay,
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
  return _report(outcome, versions.command_line())


def _print_title(settings: 'RunSettings') -> None:
  print(f'{settings.algorithm} on {settings.env_name}, seed {settings.seed}')
  print(f'Folder: {settings.workdir}', flush=True)


def _report(outcome: 'Outcome', command: str) -> int:
  if not outcome.finished:
    print(f'Stopped at step {outcome.actor_steps:,}. To go on:\n  {command}')
  return outcome.exit_status


@contextlib.contextmanager
def _refusing(*errors: type[Exception]) -> Iterator[None]:
  try:
    yield
  except errors as error:
    raise _Refusal(str(error)) from error


def _settings(config: algorithms.Config) -> 'RunSettings':
  from experiments.settings import RunSettings

  algorithm = algorithms.algorithm_name(config)
  return RunSettings(
    env_name=FLAGS.env_name,
    env_options=parse_options(FLAGS.env_option),
    algorithm=algorithm,
    workdir=FLAGS.workdir or _default_workdir(algorithm),
    num_steps=FLAGS.num_steps,
    seed=FLAGS.seed,
    agent_config=dataclasses.asdict(config),
    agent_defaults=dataclasses.asdict(type(config)()),
    evaluation_period=FLAGS.evaluation_period,
    evaluation_episodes=FLAGS.evaluation_episodes,
    checkpoint_period=FLAGS.checkpoint_period,
    tensorboard=FLAGS.tensorboard,
  )


def parse_options(options: Sequence[str]) -> dict[str, Any]:
  """Returns options by name, from 'name=value' with a Python literal or a word.

  Args:
    options: such as ['original_reward_sign=False'].

  Raises:
    ValueError: if one has no '=', or names what has a flag of its own.
  """
  parsed = {}
  for option in options:
    name, equals, value = option.partition('=')
    if not (name and equals):
      raise ValueError(f'--env_option={option!r} is not of the form name=value.')
    if name in _ENVIRONMENT_ARGUMENTS:
      raise ValueError(
        f'--env_option={option!r}: say --{_ENVIRONMENT_ARGUMENTS[name]}.'
      )
    try:
      parsed[name] = ast.literal_eval(value)
    except (ValueError, SyntaxError):
      parsed[name] = value
  return parsed


def _default_workdir(algorithm: str) -> str:
  task = FLAGS.env_name.replace(':', '_').replace('/', '_')
  return os.path.join('runs', task, algorithm, f'seed_{FLAGS.seed}')


def _refuse(message: str) -> int:
  print(message, file=sys.stderr)
  return _REFUSED


if __name__ == '__main__':
  app.run(main)
