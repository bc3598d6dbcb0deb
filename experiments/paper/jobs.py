"""Command lines of a plan's runs, in one process each or as programs of many."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable

from experiments.paper import estimates, plans, run_pool
from experiments.paper.settings import EVALUATION_EPISODES, EVALUATION_PERIOD
from iq_acme.storage import files

# Relative where it can be, for each run records its command.
_SCRIPT = files.readable_path(
  str(pathlib.Path(__file__).resolve().parent.parent / 'run_algorithm.py')
)


@dataclasses.dataclass(frozen=True)
class Distribution:
  """How runs are spread over processes.

  Attributes:
    num_actors: actors of each.
    launch_type: 'local_mp', a process for each node, or 'local_mt', a thread.
    listen: who can reach the nodes' servers, see `iq_acme.launch`.
  """

  num_actors: int
  launch_type: str
  listen: str = 'local'


@dataclasses.dataclass(frozen=True)
class JobSettings:
  """What all runs of a pool have in common.

  Attributes:
    root: the folder of all runs.
    checkpoint_period: environment steps between checkpoints.
    checkpoint_replay: whether checkpoints hold what is in replay.
    distribution: of the IQ runs; None for one process each, on a core of its own.
      SAC always runs in one process.
  """

  root: str
  checkpoint_period: int
  checkpoint_replay: bool
  distribution: Distribution | None = None


def make_job(
  run: plans.Run, settings: JobSettings, is_done: Callable[[], bool]
) -> run_pool.Job:
  """The job that runs, or goes on with, one run of a plan.

  Args:
    run: the run.
    settings: of the pool.
    is_done: whether the run has reached its end.
  """
  folder = os.path.join(settings.root, run.folder)

  def command(core: int | None) -> list[str]:
    # A folder of more steps cannot go back to fewer.
    longest = plans.recorded_steps(run, settings.root)
    return [
      sys.executable,
      _SCRIPT,
      *run.flags(longest),
      f'--workdir={folder}',
      f'--evaluation_period={EVALUATION_PERIOD}',
      f'--evaluation_episodes={EVALUATION_EPISODES}',
      f'--checkpoint_period={settings.checkpoint_period}',
      '--keep_checkpoints=1',
      f'--checkpoint_replay={str(settings.checkpoint_replay).lower()}',
      '--notensorboard',
      *_placement(run, settings.distribution, core),
    ]

  return run_pool.Job(
    run.name,
    folder,
    command,
    is_done=is_done,
    bytes_needed=2 * estimates.bytes_kept(run, settings.checkpoint_replay),
  )


def _placement(
  run: plans.Run, distribution: Distribution | None, core: int | None
) -> list[str]:
  """Flags that say where a run computes."""
  if distribution is None:
    return ['--num_threads=1', *([] if core is None else [f'--cpu_core={core}'])]
  if run.algorithm == 'sac':
    return []
  return [
    '--run_distributed',
    f'--num_actors={distribution.num_actors}',
    f'--lp_launch_type={distribution.launch_type}',
    f'--listen={distribution.listen}',
  ]
