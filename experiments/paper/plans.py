"""From plans to runs: what each is, where it lies, and how far it has come."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.learning.settings import LEARNING_PLANS
from experiments.paper.settings import (
  DISCRETE_PLANS,
  EVALUATION_EPISODES,
  EVALUATION_PERIOD,
  MEASURED_PLANS,
  PAPER_PLANS,
  Study,
  Variant,
  as_text,
)
from iq_acme.commands import algorithms
from iq_acme.environments import imports_code
from iq_acme.storage import files
from iq_acme.training.differences import list_differences
from iq_acme.training.evaluations import read_evaluations
from iq_acme.training.metrics_files import STEP_COLUMN
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import task_folder

PLANS = {**MEASURED_PLANS, **LEARNING_PLANS, **DISCRETE_PLANS, **PAPER_PLANS}


@dataclasses.dataclass(frozen=True)
class Run:
  """One training run of a plan.

  Attributes:
    task: an environment name.
    algorithm: its name.
    overrides: (field, value) pairs by which it differs from the paper's settings.
    seed: its seed.
    num_steps: environment steps.
    env_options: (name, value) pairs that its environment is made with.
    evaluation_episodes: of each evaluation, of either policy.
  """

  task: str
  algorithm: str
  overrides: tuple[tuple[str, Any], ...]
  seed: int
  num_steps: int
  env_options: tuple[tuple[str, Any], ...] = ()
  evaluation_episodes: int = EVALUATION_EPISODES

  @property
  def variant(self) -> str:
    """Such as 'iq' or 'iq-temperature=0.1'."""
    return '-'.join([self.algorithm, *(f'{k}={as_text(v)}' for k, v in self.overrides)])

  @property
  def folder(self) -> str:
    """Where it lies, relative to the folder of all runs; the same in every plan."""
    return os.path.join(task_folder(self.task), self.variant, f'seed_{self.seed}')

  @property
  def name(self) -> str:
    """For people."""
    return f'{self.task} {self.variant} seed {self.seed}'

  def flags(self, num_steps: int | None = None) -> list[str]:
    """Returns flags of `train` that describe it, with other steps if need be."""
    return [
      f'--algorithm={self.algorithm}',
      f'--env_name={self.task}',
      *(f'--env_option={name}={value!r}' for name, value in self.env_options),
      *(f'--{name}={_as_flag(value)}' for name, value in self.overrides),
      f'--num_steps={num_steps or self.num_steps}',
      f'--seed={self.seed}',
    ]


@dataclasses.dataclass(frozen=True)
class Status:
  """How far a run has come.

  Attributes:
    steps: environment steps that its folder holds evaluations or a checkpoint of.
    finished: whether the steps that are asked for are done.
  """

  steps: int
  finished: bool


def select(
  names: Sequence[str],
  *,
  steps: int | None = None,
  seeds: int | None = None,
  tasks: Sequence[str] = (),
  algorithm_names: Sequence[str] = (),
  env_options: Mapping[str, Any] = {},
) -> list[Study]:
  """Returns the studies of plans, shrunk to a budget.

  Args:
    names: of `PLANS`; none stands for all that were measured.
    steps: environment steps of each run instead of the plan's.
    seeds: seeds of each variant instead of the plan's.
    tasks: the only tasks to keep, by name or by its part behind the colon. One that a
      module of the user's makes is no plan's: all studies are made on it.
    algorithm_names: the only algorithms to keep.
    env_options: what all environments are made with.

  Returns:
    The studies that are left, in order.

  Raises:
    ValueError: for an unknown name, or if nothing is left.
  """
  for name in names:
    if name not in PLANS:
      raise ValueError(f'There is no plan {name!r}; there are {", ".join(PLANS)}.')
  for field, value in (('steps', steps), ('seeds', seeds)):
    if value is not None and value < 1:
      raise ValueError(f'{field} is {value}; it must be at least 1.')
  studies = [study for name in names for study in PLANS[name]]
  own = tuple(task for task in tasks if imports_code(task))
  known = {t for s in studies for t in (*s.tasks, *map(short_name, s.tasks))}
  _check_known('tasks', tasks, known | set(own))
  _check_known('algorithms', algorithm_names, algorithms.NAMES)
  shrunk = []
  for study in studies:
    kept_tasks = (*select_tasks(study.tasks, tasks), *own)
    kept = select_variants(study.variants, algorithm_names)
    if kept_tasks and kept:
      shrunk.append(
        dataclasses.replace(
          study,
          tasks=kept_tasks,
          variants=tuple(kept),
          num_steps=steps or study.num_steps,
          num_seeds=seeds or study.num_seeds,
          env_options=tuple(env_options.items()),
        )
      )
  if not shrunk:
    raise ValueError('Nothing is left of the plans with these tasks and algorithms.')
  return shrunk


def select_tasks(tasks: Sequence[str], named: Sequence[str]) -> list[str]:
  """Returns those that are named, in full or behind the colon; all if none is."""
  return [task for task in tasks if not named or {task, short_name(task)} & set(named)]


def select_variants(
  variants: Sequence[Variant], algorithm_names: Sequence[str]
) -> list[Variant]:
  """Returns what amounts to a named algorithm: M-IQ without a coefficient is IQ."""
  return [
    variant
    for variant in variants
    if not algorithm_names or _named_by(variant) in algorithm_names
  ]


def expand(studies: Iterable[Study]) -> list[Run]:
  """Lists the runs of studies, each once, the first seed of all before the second.

  A run that several studies share, such as a sweep's middle value that is the paper's
  own, is one run, of the largest number of steps.
  """
  runs: dict[str, Run] = {}
  for study in studies:
    for run in study_runs(study):
      known = runs.get(run.folder)
      if known is None or known.num_steps < run.num_steps:
        runs[run.folder] = run
  return sorted(runs.values(), key=lambda run: run.seed)  # Stable.


def study_runs(study: Study) -> list[Run]:
  """Lists the runs of one study: by variant, task and seed."""
  return [
    dataclasses.replace(
      make_run(task, variant, seed, study.num_steps, study.env_options),
      evaluation_episodes=study.evaluation_episodes,
    )
    for variant in study.variants
    for task in study.tasks
    for seed in range(study.first_seed, study.first_seed + study.num_seeds)
  ]


def make_run(
  task: str,
  variant: Variant,
  seed: int,
  num_steps: int,
  env_options: tuple[tuple[str, Any], ...] = (),
) -> Run:
  """Makes a run, described by what differs from the paper's settings alone."""
  config = algorithms.make_config(variant.algorithm, task, variant.overrides)
  # An override can make another algorithm of it: coefficient 0 is IQ.
  algorithm = algorithms.algorithm_name(config)
  base = algorithms.make_config(algorithm, task)
  overrides = tuple(
    (name, value)
    for name, value in variant.overrides.items()
    if getattr(base, name) != value
  )
  return Run(task, algorithm, overrides, seed, num_steps, env_options)


def is_changed(task: str, variant: Variant) -> bool:
  """Tells whether a variant has a setting on a task that is not the paper's anyway."""
  return bool(make_run(task, variant, 0, 1).overrides)


def status(run: Run, root: str) -> Status:
  """Tells how far a run has come in a folder of runs.

  It is finished with an evaluation at its last step. So is a run of more steps that has
  come so far: what it goes on with is not asked for here.

  Raises:
    ValueError: if what lies there was run with other settings.
  """
  check_settings(run, root)
  folder = os.path.join(root, run.folder)
  summary = RunDirectory(folder).read_summary()
  steps = summary.get('actor_steps', 0)
  found = read_evaluations(folder, STEP_COLUMN)
  evaluated = found.values if found else {}
  last_step_is_evaluated = run.num_steps in evaluated or (
    bool(summary.get('finished')) and max(evaluated, default=-1) >= run.num_steps
  )
  finished = steps >= run.num_steps and last_step_is_evaluated
  return Status(min(steps, run.num_steps), finished)


def check_settings(run: Run, root: str) -> None:
  """Refuses results of other settings than the run's of today.

  These are its hyperparameters, the options of its environment, and how it is evaluated.

  Args:
    run: the run.
    root: the folder of all runs.

  Raises:
    ValueError: naming the folder and what differs.
  """
  folder = os.path.join(root, run.folder)
  config = RunDirectory(folder).read_config() or {}
  agent = algorithms.make_config(run.algorithm, run.task, dict(run.overrides))
  wanted = {
    'agent': files.as_json(dataclasses.asdict(agent)),
    'env_options': dict(run.env_options),
    'evaluation_period': EVALUATION_PERIOD,
    'evaluation_episodes': run.evaluation_episodes,
  }
  # Written before a field was there: as if at its default, which changes nothing.
  found = {name: config.get(name, default) for name, default in wanted.items()}
  found['agent'] = files.as_json(dataclasses.asdict(type(agent)())) | found['agent']
  differences = list_differences(found, wanted)
  if differences:
    raise ValueError(
      f'{folder} was run with other settings: {"; ".join(differences)}. Move it away, or '
      'choose another folder.'
    )


def recorded_steps(run: Run, root: str) -> int:
  """Returns the steps of the run's folder if an earlier plan asked for more."""
  config = RunDirectory(os.path.join(root, run.folder)).read_config()
  return max(run.num_steps, (config or {}).get('num_steps', 0))


def _named_by(variant: Variant) -> str:
  """Returns the algorithm a variant amounts to; the same on every task."""
  return make_run('gym:HalfCheetah-v4', variant, 0, 1).algorithm


def _as_flag(value: Any) -> str:
  is_sequence = isinstance(value, (list, tuple))
  return ','.join(map(str, value)) if is_sequence else str(value)


def short_name(task: str) -> str:
  """Returns a task's name behind the colon, such as 'Hopper-v4'."""
  return task.partition(':')[2]


def _check_known(field: str, given: Sequence[str], known: Iterable[str]) -> None:
  for name in given:
    if name not in known:
      raise ValueError(
        f'{field} names {name!r}; these plans have {", ".join(sorted(known))}.'
      )
