"""Trains a population: the members that the flags describe, a program after the other."""

import functools
import importlib.util
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iq_acme.commands import algorithms, population_flags, run_flags
from iq_acme.commands.parsing import refusing
from iq_acme.commands.run_flags import FLAGS

if TYPE_CHECKING:
  import dm_env

  from iq_acme.population.members import Member

# Of the memory that there is, for what is neither replay nor a member's state.
_FREE = 0.25
_BYTES_OF_A_STATE = 2**25


def is_asked_for() -> bool:
  """Returns whether the flags describe a population; see `population_flags`."""
  has_acme = importlib.util.find_spec('acme') is not None
  return population_flags.asked_for(FLAGS, has_acme)


def train() -> int:
  """Trains the members that the flags describe; returns the exit status."""
  with refusing(ValueError):
    members = make_members()
  return train_members(
    members,
    at_once=FLAGS.members_at_once,
    num_workers=FLAGS.num_env_workers,
    keep_checkpoints=FLAGS.keep_checkpoints,
  )


def train_members(
  members: 'list[Member]',
  *,
  at_once: int | None = None,
  num_workers: int | None = None,
  keep_checkpoints: int = 2,
) -> int:
  """Trains the members that have not finished yet; returns the exit status.

  Args:
    members: of one task.
    at_once: the most in one population; as many as fit in memory if None.
    num_workers: processes of environments; as many as cores if None.
    keep_checkpoints: how many of the newest are kept.

  Raises:
    Refusal: if the task or a folder cannot be used.
  """
  from iq_acme.environments import make_environment
  from iq_acme.population import members as population_members
  from iq_acme.population import runner
  from iq_acme.spec_checks import make_environment_spec
  from iq_acme.storage import files
  from iq_acme.training import quiet, run_directory
  from iq_acme.transitions import TransitionPacking

  quiet.quiet_logs()
  _print_title(members)
  settings = members[0].settings
  make_task = functools.partial(_make, settings.env_name, settings.env_options)
  with refusing(ValueError, RuntimeError):
    environment = make_environment(settings.env_name, 0, **settings.env_options)
    spec = make_environment_spec(environment)
    environment.close()
    for member in members:  # Refuses actions that its algorithm does not take.
      member.family.make([member.config], spec)
  with refusing(run_directory.RunDirectoryError, files.DamagedFileError):
    left = [x for x in members if not population_members.has_finished(x.settings)]
    width = TransitionPacking(spec).width
    groups = population_members.group(members, at_once or members_that_fit(left, width))
    if done := len(members) - len(left):
      steps = f'{settings.num_steps:,}'
      print(f'{done} of {len(members)} have already reached {steps} steps.')
    if len(groups) > 1:
      print(f'{len(groups)} programs, one after the other.')
    status = 0
    for group in groups:
      outcome = runner.run(
        group, make_task, num_workers=num_workers, keep_checkpoints=keep_checkpoints
      )
      status = status or outcome.exit_status
      if not outcome.finished:
        return _stopped(outcome.step, outcome.exit_status)
  return _report(members, status)


def make_members() -> 'list[Member]':
  """Makes the members that the flags describe.

  Raises:
    ValueError: for flags that make no sense, or name a member twice, or a folder that
      is a run's own.
  """
  from iq_acme.population.members import Member

  members = {}
  variations = list(population_flags.variations(FLAGS))
  # Of `--seeds=0` not: then more seeds can come beside it.
  alone = len(variations) == 1 and FLAGS.workdir and not (FLAGS.seeds or FLAGS.sweep)
  folder = FLAGS.workdir or os.devnull
  if not alone and os.path.exists(os.path.join(folder, 'config.json')):
    raise ValueError(
      f'--workdir={folder} is the folder of a run, and members have folders '
      'below it: name another one.'
    )
  for variation in variations:
    config = run_flags.make_config(variation.algorithm, variation.overrides)
    variant = variation.variant(run_flags.run_name(config))
    settings = run_flags.make_settings(
      config,
      () if alone else (variant, f'seed_{variation.seed}'),
      seed=variation.seed,
      engine='population',
    )
    if settings.workdir in members:
      raise ValueError(f'Two members would have the folder {settings.workdir}.')
    members[settings.workdir] = Member(settings, config, algorithms.family(config))
  return list(members.values())


def members_that_fit(members: 'list[Member]', width: int) -> int | None:
  """Returns how many members' replay the memory holds at once; None for no members.

  Args:
    members: who are to be trained.
    width: numbers of a row of replay.
  """
  import jax

  from iq_acme.population.members import replay_capacity

  if not members:
    return None
  statistics = jax.local_devices()[0].memory_stats() or {}
  # All of it, not what is free now: the groups must be the same when the run goes on.
  memory = statistics.get(
    'bytes_limit', os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  )
  rows = max(replay_capacity(member) for member in members)
  return max(
    1, math.floor((1 - _FREE) * memory / (4 * rows * width + _BYTES_OF_A_STATE))
  )


def _make(name: str, options: Mapping[str, Any], seed: int) -> 'dm_env.Environment':
  from iq_acme.environments import make_environment

  return make_environment(name, seed, **options)


def _print_title(members: 'list[Member]') -> None:
  settings = members[0].settings
  names = ', '.join(dict.fromkeys(x.settings.algorithm for x in members))
  count = f'{len(members)} members' if len(members) > 1 else 'one member'
  print(f'{names} on {settings.env_name}, a population of {count}')
  print(f'Folder: {_root(members)}')
  first_step = min(x.config.min_replay_size for x in members)
  run_flags.print_if_too_short(settings.num_steps, first_step)


def _stopped(actor_steps: int, status: int) -> int:
  from iq_acme.training import versions

  print(f'Stopped at step {actor_steps:,}. To go on:\n  {versions.command_line()}')
  return status


def _report(members: 'list[Member]', status: int) -> int:
  from iq_acme.training.run_directory import RunDirectory

  bests = []
  for member in members:
    summary = RunDirectory(member.settings.workdir).read_summary()
    if reason := summary.get('stopped'):
      status = 1
      print(f'{member.settings.workdir} was stopped: {reason.splitlines()[-1]}')
    elif best := summary.get('best_evaluation'):
      bests.append(best['mode_return_mean'])
  if bests:
    from iq_acme.population.folders import describe_spread

    print(f'Best evaluations: {describe_spread(bests)}')
  root, first = _root(members), members[0].settings.workdir
  depth = len(os.path.relpath(first, root).split(os.sep)) if len(members) > 1 else 0
  print(f'To draw them:\n  python -m iq_acme plot {os.path.join(root, *["*"] * depth)}')
  return status


def _root(members: 'list[Member]') -> str:
  """Returns the folder that all members' are in."""
  return os.path.commonpath([member.settings.workdir for member in members])
