"""The paper's experiments: what they cost, running them, and its figures.

  python -m experiments.paper plan
  python -m experiments.paper plan figure2 --steps=1000000 --seeds=3
  python -m experiments.paper run block1 --workers=2
  python -m experiments.paper run figure2 --run_distributed --num_actors=8
  python -m experiments.paper commands figure2 > runs.txt
  python -m experiments.paper export block1
  python -m experiments.paper plot

Plans are named in experiments/paper/settings.py: block1 to block5 are what the results
page shows, figure2, figure3, figure4 and others are the paper's own at its budget, which
--steps, --seeds, --tasks and --algorithms shrink. Runs lie in --root, a folder each,
whichever plan they belong to: what is finished is never run again, what was stopped goes
on. `export` copies the small files of finished runs, and 200 rows of train.csv, to
experiments/results/paper/runs, from which `plot` draws, and which count as finished on
every machine: --exported=none runs them all the same. --root=runs/paper draws from what
runs have got so far.

`commands` prints a shell command for each run that is not finished, for a scheduler of
whoever has a cluster: docs/cluster.md.

With --run_distributed each IQ run is a Launchpad program of many processes, one run at a
time unless --workers says more, and SAC, the baseline, still one process. Such runs,
their exports and their figures lie in folders of their own, runs/paper_distributed and
experiments/results/paper_distributed: give the flag to all commands.

With --population the runs of one task and one program are trained together, as a
population, which needs no Acme: docs/population.md. They lie in the same folders; a
table of both kinds says which are which.

Exit status: 0, 1 if a run failed, 2 for bad input, 130 after Ctrl-C.
"""

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence

import numpy as np

from experiments import RESULTS
from experiments.paper import costs, plans, population, random_scores, run_pool
from experiments.paper import jobs as paper_jobs
from experiments.paper.command_flags import FLAGS
from experiments.paper.overview import Overview
from experiments.paper.settings import MEASURED_PLANS, PAPER_PLANS, Study
from iq_acme.commands import distribution_flags, environment_flags, parsing
from iq_acme.environments import imports_code
from iq_acme.storage import files
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

_NOT_FOR_PLOT = (
  'env_option',
  'seeds',
  'workers',
  'first_core',
  'checkpoint_period',
  'checkpoint_replay',
  *distribution_flags.DEPENDENT,
)
# The summary last: it is what says that a run is finished.
_EXPORTED_FILES = ('config.json', 'versions.json', 'eval.csv', 'summary.json')
# Of train.csv, so that causes can be read later.
_EXPORTED_TRAINING_ROWS = 200


def main(arguments: Sequence[str]) -> int:
  """Runs the command that the first argument names; returns its exit status."""
  command, *names = arguments or ['']
  with parsing.refusing(ValueError):
    if command not in _COMMANDS:
      raise ValueError(
        f'The first argument is {command!r}; it must be {", ".join(_COMMANDS)}.'
      )
    population.check_flags(FLAGS, command)
    return _COMMANDS[command](names)


def plan(names: Sequence[str]) -> int:
  """Prints runs, their state, and the hours and the disk that they will take."""
  _select(names or [*MEASURED_PLANS, *PAPER_PLANS])  # Refuses what no plan has.
  for name in names or [*MEASURED_PLANS, *PAPER_PLANS]:
    try:
      studies = _select([name])
    except ValueError:
      continue  # Other plans have something of what was asked for.
    detailed = bool(names) or name in MEASURED_PLANS
    _costs().print_plan(name, studies, detailed)
  if len(names) > 1:
    print('Together, each run once:')
    _costs().print_total(plans.expand(_select(names)))
  return 0


def commands(names: Sequence[str]) -> int:
  """Prints a shell command for each run that is not finished."""
  for name in ('workers', 'first_core'):
    if FLAGS[name].present:
      raise ValueError(f'--{name} is not for commands: a scheduler places the runs.')
  for job in _jobs(names):
    if not job.is_done():
      print(shlex.join(job.command(None)))
  return 0


def run(names: Sequence[str]) -> int:
  """Runs what is not finished."""
  jobs = _jobs(names)  # Refuses bad flags on any number of cores.
  if FLAGS.population:
    return population.run(plans.expand(_select(names)), _root(), _status, FLAGS)
  cores = _cores()
  runs = plans.expand(_select(names))
  num_steps = {run.name: plans.recorded_steps(run, _root()) for run in runs}
  where = f'cores {", ".join(map(str, cores))}'
  if FLAGS.run_distributed:
    where = f'{len(cores)} at a time, {FLAGS.num_actors} actors each'
  print(f'{len(jobs)} runs, {where}, logs in each folder:')
  print(f'  {os.path.join(_root(), "<task>", "<variant>", "seed_<n>", "log.txt")}')
  with contextlib.closing(Overview(num_steps)) as overview:
    outcome = run_pool.run_jobs(jobs, cores, overview)
  print(
    f'{len(outcome.done)} of {len(jobs)} runs done, {len(outcome.failures)} failed, '
    f'{len(outcome.not_started)} to do.'
  )
  for job, reason in outcome.failures:
    print(f'FAILED {job.name}: {reason}\n  log: {job.log}')
  if outcome.signal is not None:
    print('The same command goes on.')
  return outcome.exit_status


def export(names: Sequence[str]) -> int:
  """Copies configuration, versions and evaluations of finished runs."""
  _check_root()
  if _exported() is None:
    raise ValueError('--exported=none is not for export: it must name a folder.')
  runs = plans.expand(_select(names or [*MEASURED_PLANS]))
  count = there = 0
  for run in runs:
    exported = plans.status(run, _exported()).finished
    is_longer = exported and (
      plans.recorded_steps(run, _exported()) > plans.recorded_steps(run, _root())
    )
    if plans.status(run, _root()).finished and not is_longer:
      source = os.path.join(_root(), run.folder)
      target = os.path.join(_exported(), run.folder)
      _export_run(source, target)
      count += 1
    else:
      there += exported
  print(f'{count} of {len(runs)} runs are exported, {there} were there: {_exported()}')
  return 0


def _export_run(source: str, target: str) -> None:
  """Copies the small files of a run, and rows of its train.csv at equal distances."""
  os.makedirs(target, exist_ok=True)
  rows = metrics_files.read_rows(RunDirectory(source).train)
  if rows:
    path = RunDirectory(target).train
    kept = np.linspace(0, len(rows) - 1, min(len(rows), _EXPORTED_TRAINING_ROWS))
    rows = [rows[i] for i in kept.round().astype(int)]
    metrics_files.write_rows(path, rows, digits=8)
  for name in _EXPORTED_FILES:
    with files.replacing(os.path.join(target, name)) as temporary:
      shutil.copyfile(os.path.join(source, name), temporary)


def plot(names: Sequence[str]) -> int:
  """Draws the figures and tables that there are runs for, all or those named."""
  from experiments.paper import comparisons, data, figures

  for name in _NOT_FOR_PLOT:
    if FLAGS[name].present:
      raise ValueError(f'--{name} is not for plot: it draws all the runs there are.')
  if any(map(imports_code, FLAGS.tasks)):
    raise ValueError('tasks names one of your own: draw it by python -m iq_acme plot.')
  known = (*figures.NAMES, *comparisons.NAMES)
  for name in set(names) - set(known):
    raise ValueError(f'There is no figure {name!r}; there are {", ".join(known)}.')
  _check_root()
  _select([*MEASURED_PLANS, *PAPER_PLANS])  # Refuses what no plan has.
  measured = files.read_json(random_scores.PATH) or {}
  output = FLAGS.output or str(RESULTS / _kind())
  source = data.Source(
    FLAGS.root or _exported() or _root(), FLAGS.tasks, FLAGS.algorithms, FLAGS.steps
  )
  random_returns = {task: entry['return_mean'] for task, entry in measured.items()}
  lines = figures.draw_all(source, output, random_returns, names)
  lines += comparisons.write_all(source, output, names)
  print('\n'.join(lines))
  return 0


def _kind() -> str:
  """Names the folder of these runs and their results: not that of the other kind."""
  return 'paper_distributed' if FLAGS.run_distributed else 'paper'


def _root() -> str:
  return FLAGS.root or os.path.join('runs', _kind())


def _check_root() -> None:
  if FLAGS.root is not None and not os.path.isdir(FLAGS.root):
    raise ValueError(f'root is {FLAGS.root}; there is no such folder.')


def _exported() -> str | None:
  """Returns the folder of exported runs; None if they are not to count."""
  if FLAGS.exported == 'none':
    return None
  return FLAGS.exported or str(RESULTS / _kind() / 'runs')


def _num_workers() -> int:
  return FLAGS.workers or (1 if FLAGS.run_distributed else 2)


def _status(run: plans.Run) -> plans.Status:
  """Tells how far a run has come, on this machine or on the one that exported it."""
  here = plans.status(run, _root())
  folder = _exported()
  exported = plans.status(run, folder) if folder is not None else here
  return exported if exported.finished else here


def _costs() -> costs.Costs:
  return costs.Costs(_root(), _status, _num_workers(), FLAGS.checkpoint_replay)


def _job_settings() -> paper_jobs.JobSettings:
  """Makes what the flags say of all runs.

  Raises:
    ValueError: for a flag of distributed runs without --run_distributed, or one that
      they do not have.
  """
  distribution_flags.check_flags(FLAGS)
  if FLAGS.run_distributed and FLAGS['first_core'].present:
    raise ValueError('--first_core is for runs that are not distributed.')
  return paper_jobs.JobSettings(
    _root(),
    FLAGS.checkpoint_period,
    FLAGS.checkpoint_replay,
    distribution_flags.repeat_flags(FLAGS),
  )


def _jobs(names: Sequence[str]) -> list[run_pool.Job]:
  """Makes a job for each run of these plans; says which are done elsewhere."""
  if not names:
    raise ValueError(f'Say which plans to run: {", ".join(plans.PLANS)}.')
  if os.path.exists(_root()) and not os.path.isdir(_root()):
    raise ValueError(f'root is {_root()}, which is no folder.')
  runs = plans.expand(_select(names))
  settings = _job_settings()
  elsewhere = [
    one
    for one in runs
    if _status(one).finished and not plans.status(one, _root()).finished
  ]
  if elsewhere:
    print(
      f'{len(elsewhere)} of {len(runs)} runs are not run here: their exported results '
      f'are in {_exported()}. --exported=none runs them all the same.',
      file=sys.stderr,
    )
  return [
    paper_jobs.make_job(one, settings, lambda one=one: _status(one).finished)
    for one in runs
  ]


def _select(names: Sequence[str]) -> list[Study]:
  return plans.select(
    names,
    steps=FLAGS.steps,
    seeds=FLAGS.seeds,
    tasks=FLAGS.tasks,
    algorithm_names=FLAGS.algorithms,
    env_options=environment_flags.parse_options(FLAGS.env_option),
  )


def _cores() -> list[int]:
  """Returns the cores to use, which must exist; of distributed runs, places alone."""
  if FLAGS.run_distributed:
    return list(range(_num_workers()))
  usable = sorted(os.sched_getaffinity(0))
  first = usable[0] if FLAGS.first_core is None else FLAGS.first_core
  cores = [core for core in usable if core >= first][: _num_workers()]
  if first not in usable:
    raise ValueError(f'first_core is {first}; this process may use the cores {usable}.')
  if len(cores) < _num_workers():
    raise ValueError(
      f'workers is {_num_workers()}; this process may use the cores {cores}'
      f'{f" from first_core {first} on" if FLAGS.first_core is not None else ""}.'
    )
  return cores


_COMMANDS = {
  'plan': plan,
  'run': run,
  'commands': commands,
  'export': export,
  'plot': plot,
}
