"""Command lines of a plan's runs, in one process each or as programs of many."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from experiments.paper import estimates, plans, run_pool
from experiments.paper.settings import EVALUATION_PERIOD
from iq_acme.storage import files

# Relative if it can be, for each run records its command.
_SCRIPT = files.readable_path(
  str(pathlib.Path(__file__).resolve().parent.parent / 'run_algorithm.py')
)


@dataclasses.dataclass(frozen=True)
class JobSettings:
  """What all runs of a pool have in common.

  Attributes:
    root: the folder of all runs.
    checkpoint_period: environment steps between checkpoints.
    checkpoint_replay: whether checkpoints hold what is in replay.
    distribution: flags by which IQ runs are distributed; empty for one process each,
      on a core of its own. SAC always runs in one process.
  """

  root: str
  checkpoint_period: int
  checkpoint_replay: bool
  distribution: Sequence[str] = ()


def make_job(
  run: plans.Run, settings: JobSettings, is_done: Callable[[], bool]
) -> run_pool.Job:
  """Makes the job that runs, or goes on with, one run of a plan.

  Args:
    run: the run.
    settings: of the pool.
    is_done: whether the run has reached its end.
  """
  folder = os.path.join(settings.root, run.folder)

  def placement(core: int | None) -> Sequence[str]:
    if settings.distribution:
      return [] if run.algorithm == 'sac' else settings.distribution
    return ['--num_threads=1', *([] if core is None else [f'--cpu_core={core}'])]

  def command(core: int | None) -> list[str]:
    # A folder of more steps cannot go back to fewer.
    longest = plans.recorded_steps(run, settings.root)
    return [
      sys.executable,
      _SCRIPT,
      *run.flags(longest),
      f'--workdir={folder}',
      f'--evaluation_period={EVALUATION_PERIOD}',
      f'--evaluation_episodes={run.evaluation_episodes}',
      f'--checkpoint_period={settings.checkpoint_period}',
      '--keep_checkpoints=1',
      f'--checkpoint_replay={str(settings.checkpoint_replay).lower()}',
      '--notensorboard',
      *placement(core),
    ]

  return run_pool.Job(
    run.name,
    folder,
    command,
    is_done=is_done,
    bytes_needed=2 * estimates.bytes_kept(run, settings.checkpoint_replay),
  )
