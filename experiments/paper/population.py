"""Runs of a plan as members of populations, in the folders that single runs have."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.paper import plans
from experiments.paper.settings import EVALUATION_PERIOD
from iq_acme.commands import algorithms, population, population_flags
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings

if TYPE_CHECKING:
  from iq_acme.population.members import Member


_NOT_OF_POPULATIONS = ('workers', 'first_core', 'run_distributed', 'checkpoint_replay')


def check_flags(values: flags.FlagValues, command: str) -> None:
  """Refuses flags that populations alone have, and those that they do not have.

  Args:
    values: the flags of the paper's command line.
    command: which of its commands is run.

  Raises:
    ValueError: naming the flag.
  """
  if values.population and command != 'run':
    raise ValueError(f'--population is for run, not for {command}.')
  for name in population_flags.DEPENDENT:
    if values[name].present and not values.population:
      raise ValueError(f'--{name} is for populations: give --population too.')
  for name in _NOT_OF_POPULATIONS:
    if values[name].present and values.population:
      raise ValueError(f'--{name} is for single runs, and --population is given.')


def run(
  runs: Sequence[plans.Run],
  root: str,
  status: Callable[[plans.Run], plans.Status],
  values: flags.FlagValues,
) -> int:
  """Trains what has not finished, a task after the other, those of one program together.

  A run that began by itself is left to `run` without --population.

  Args:
    runs: of the plans.
    root: the folder of all runs.
    status: tells how far a run has come.
    values: the flags.

  Returns:
    The exit status: of the first task that did not end well, 0 otherwise.
  """
  from iq_acme.population.members import group

  result = 0
  tasks: dict[str, list[Member]] = {}
  for one in runs:
    config = RunDirectory(os.path.join(root, one.folder)).read_config()
    is_member = config is not None and config.get('engine') == 'population'
    # A member that has finished may be of a population that was killed just then.
    if status(one).finished and not is_member:
      continue
    if config is not None and not is_member:
      print(f'{one.name} began as a single run: leave --population out for it.')
      result = 1
      continue
    member = _make_member(one, root, values.checkpoint_period)
    tasks.setdefault(one.task, []).append(member)
  for members in tasks.values():
    if not group(members):
      continue
    outcome = population.train_members(
      members,
      at_once=values.members_at_once,
      num_workers=values.num_env_workers,
      keep_checkpoints=1,
    )
    result = result or outcome
    if outcome > 1:  # A signal.
      return outcome
  print(f'{sum(status(one).finished for one in runs)} of {len(runs)} runs done.')
  return result


def _make_member(one: plans.Run, root: str, checkpoint_period: int) -> 'Member':
  from iq_acme.population.members import Member

  config = algorithms.make_config(one.algorithm, one.task, dict(one.overrides))
  settings = RunSettings(
    env_name=one.task,
    algorithm=one.algorithm,
    workdir=os.path.join(root, one.folder),
    num_steps=plans.recorded_steps(one, root),
    seed=one.seed,
    env_options=dict(one.env_options),
    agent_config=dataclasses.asdict(config),
    agent_defaults=dataclasses.asdict(type(config)()),
    evaluation_period=EVALUATION_PERIOD,
    evaluation_episodes=one.evaluation_episodes,
    checkpoint_period=checkpoint_period,
    tensorboard=False,
    engine='population',
  )
  return Member(settings, config, algorithms.family(config))
