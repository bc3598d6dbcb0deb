"""Trains an algorithm on one task, and leaves curves, checkpoints and a policy behind.

  python -m iq_acme train --env_name=gym:HalfCheetah-v4 --num_steps=100000
  python -m iq_acme train --algorithm=sac --env_name=gym:Hopper-v4
  python -m iq_acme train --seeds=0-19 --algorithm=m_iq,sac --sweep=temperature=1e-3,1e-2

The algorithm is M-IQ with the paper's settings for the task, or what --algorithm and
--settings say; every field of IQConfig is a flag of the same name. Of those, `sac` takes
the ones it has too. The same command again goes on where the last one stopped.

--seeds, --sweep or several of --algorithm train a population: many runs as one program,
a folder each (docs/population.md). It needs no Acme; without Acme, one seed is one too.

--demonstrations begins replay with transitions of a file, and with --num_sgd_steps they
are all that is learned from (docs/data.md).

Exit status: 0 when the last step is reached, 1 when the run failed, 2 when it was
refused (flags, folder), 130 after Ctrl-C, 143 after SIGTERM and 129 after SIGHUP, all
three resumable.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iq_acme import process
from iq_acme.commands import (
  algorithms,
  distribution_flags,
  parsing,
  population,
  run_flags,
)
from iq_acme.commands.parsing import refusing
from iq_acme.commands.run_flags import FLAGS
from iq_acme.config import IQConfig
from iq_acme.environments import BadReturnError

if TYPE_CHECKING:
  import dm_env

  from iq_acme.training.metrics_files import Logger
  from iq_acme.training.opening import Outcome
  from iq_acme.training.protocols import Agent
  from iq_acme.training.settings import RunSettings
  from iq_acme.transitions import Transition

_FAILED = 1


def main() -> int:
  """Runs what the flags say; returns the exit status."""
  with refusing(ValueError):
    if FLAGS.num_threads is not None or FLAGS.cpu_core is not None:
      process.limit_threads(FLAGS.num_threads or 1, FLAGS.cpu_core)
    distribution_flags.check_flags(FLAGS)
    is_population = population.is_asked_for()
    if not is_population:
      config = run_flags.make_config()
      settings = run_flags.make_settings(config)
  if is_population:
    return _train_population()
  if FLAGS.run_distributed and not isinstance(config, IQConfig):
    raise parsing.Refusal(
      f'--run_distributed is given, but {settings.algorithm} runs in one process only.'
    )
  try:
    _print_title(settings, config)
    # Late, because threads are limited before and the flags' help needs none of it.
    from iq_acme.storage import files
    from iq_acme.training import quiet, run_directory, versions

    quiet.quiet_logs()
    train = _train_distributed if FLAGS.run_distributed else _train
    with refusing(run_directory.RunDirectoryError, files.DamagedFileError):
      outcome = train(settings, config)
    return _report(outcome, settings.workdir, versions.command_line())
  except KeyboardInterrupt:  # While loading, before the run takes signals over.
    return 130
  except OSError as error:
    if error.errno not in files.STORAGE_ERRORS:
      raise
    return _stopped(error, settings.workdir)
  except (BadReturnError, FloatingPointError) as error:  # Of the environment.
    return _stopped(error, settings.workdir)
  except RuntimeError as error:
    if not isinstance(error, _failures()):
      raise
    return _stopped(error, settings.workdir)


def _train_population() -> int:
  try:
    return population.train()
  except KeyboardInterrupt:  # While loading, before the run takes signals over.
    return 130
  except OSError as error:
    from iq_acme.storage import files

    if error.errno not in files.STORAGE_ERRORS:
      raise
    print(f'\nStopped: {error}. The same command goes on.', file=sys.stderr)
    return _FAILED


def _failures() -> tuple[type[Exception], ...]:
  """Returns what ends a run; late, so that one that is refused loads no TensorFlow."""
  from iq_acme import NonFiniteActionError, NonFiniteLossError

  if not FLAGS.run_distributed:
    return NonFiniteActionError, NonFiniteLossError
  from iq_acme.distributed import NodeFailedError

  return NonFiniteActionError, NonFiniteLossError, NodeFailedError


def _train(settings: 'RunSettings', config: algorithms.Config) -> 'Outcome':
  from iq_acme import make_environment
  from iq_acme.training import runner

  def make_task(seed: int) -> 'dm_env.Environment':
    with refusing(ValueError, RuntimeError):
      environment = make_environment(settings.env_name, seed, **settings.env_options)
      return algorithms.wrap_environment(config, environment)

  def make_agent(
    environment: 'dm_env.Environment', workdir: str, logger: 'Logger'
  ) -> 'Agent':
    with refusing(ValueError):
      demonstrations = _read_demonstrations(settings, config, environment)
      return algorithms.make_agent(
        config,
        environment,
        workdir,
        logger,
        seed=settings.seed,
        demonstrations=demonstrations,
        keep_checkpoints=FLAGS.keep_checkpoints,
        checkpoint_replay=FLAGS.checkpoint_replay,
      )

  return runner.run(settings, make_task, make_agent)


def _read_demonstrations(
  settings: 'RunSettings', config: algorithms.Config, environment: 'dm_env.Environment'
) -> 'Transition | None':
  """Returns what replay begins with, None for nothing."""
  source = FLAGS.demonstrations
  if not source:
    return None
  found = algorithms.read_demonstrations(config, environment, source)
  if settings.is_offline and len(found.reward) < config.min_replay_size:
    raise ValueError(
      f'{source} holds {len(found.reward):,} transitions, and offline nothing comes to '
      f'them: --min_replay_size={config.min_replay_size} must be at most that.'
    )
  return found


def _train_distributed(settings: 'RunSettings', config: IQConfig) -> 'Outcome':
  from iq_acme.commands import distributed_runner

  with refusing(ValueError):
    return distributed_runner.run(
      settings,
      config,
      {'launch_type': FLAGS.lp_launch_type, 'listen': FLAGS.listen},
      num_actors=FLAGS.num_actors,
      keep_checkpoints=FLAGS.keep_checkpoints,
      checkpoint_replay=FLAGS.checkpoint_replay,
    )


def _stopped(error: Exception, workdir: str) -> int:
  """Tells of an error that a run cannot help, such as a full disk."""
  from iq_acme.training.run_directory import RunDirectory

  last = RunDirectory(workdir).last_checkpoint()
  print(f'\nStopped: {str(error).rstrip(".")}. {last}', file=sys.stderr)
  return _FAILED


def _print_title(settings: 'RunSettings', config: algorithms.Config) -> None:
  print(f'{settings.algorithm} on {settings.env_name}, seed {settings.seed}')
  print(f'Folder: {settings.workdir}', flush=True)
  if not settings.demonstrations:
    run_flags.print_if_too_short(settings.num_steps, config.min_replay_size)


def _report(outcome: 'Outcome', workdir: str, command: str) -> int:
  from iq_acme.training.run_directory import RunDirectory

  if not outcome.finished:
    print(f'Stopped at step {outcome.step:,}. To go on:\n  {command}')
    return outcome.exit_status
  directory = RunDirectory(workdir)
  line = f'Policy: {directory.policy} · curve: {directory.curve}'
  if best := directory.read_summary().get('best_evaluation'):
    line += (
      f' · best evaluation: {best["mode_return_mean"]:,.1f} at step '
      f'{best[directory.step_column]:,}, {directory.best_policy}'
    )
  print(line)
  return outcome.exit_status


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command with its arguments; returns the exit status."""
  return parsing.run(main, FLAGS, __doc__, argv)
