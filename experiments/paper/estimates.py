"""How long runs will take, from the speeds of earlier ones, and what disk they need."""

import dataclasses
import glob
import itertools
import math
import os
import statistics
from collections.abc import Sequence

from experiments.paper.plans import Run
from experiments.paper.settings import EVALUATION_PERIOD, TASKS
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

# Environment steps per second once learning has begun, evaluations excluded: runs of
# 4,000 steps (--min_replay_size=1000), one on each of two cores of a shared machine. In
# the order of `TASKS`.
DEFAULT_SPEEDS = {
  'iq': dict(zip(TASKS, (158.0, 145.0, 134.0, 122.0, 84.0, 100.0, 94.0, 104.0))),
  'sac': dict(zip(TASKS, (93.0, 94.0, 89.0, 84.0, 50.0, 70.0, 70.0, 77.0))),
}
# If a task is in no table: the slowest but Humanoid.
_FALLBACK_SPEEDS = {'iq': 94.0, 'sac': 70.0}
# From the same runs, rounded.
_EXPLORING_SPEED = 800.0  # Steps per second before learning starts.
_EVALUATION_SPEEDS = {'gym': 2_500.0, 'adroit': 700.0}
_STARTUP_SECONDS = 8.0
_EXPLORING_STEPS = 10_000
# A checkpoint holds replay; the old one goes when the new one is whole.
_OTHER_BYTES = 20_000_000


@dataclasses.dataclass(frozen=True)
class Speed:
  """Environment steps per second, learning included, evaluations excluded.

  Attributes:
    steps_per_second: the median over evaluation periods.
    source: 'these runs', 'runs of this task' or 'default'.
  """

  steps_per_second: float
  source: str


class Estimates:
  """Speeds of a machine, as far as a folder of runs knows them."""

  def __init__(self, root: str):
    """Reads the speeds of all runs below a folder.

    Args:
      root: the folder of runs; it may be missing.
    """
    self._measured: dict[tuple[str, str], list[float]] = {}
    for path in glob.glob(os.path.join(root, '*', '*', '*', 'config.json')):
      directory = RunDirectory(os.path.dirname(path))
      config = directory.read_config() or {}
      key = (config.get('env_name', ''), config.get('algorithm', ''))
      speeds = learning_speeds(directory.evaluations)
      self._measured.setdefault(key, []).extend(speeds)

  def speed(self, run: Run) -> Speed:
    """Returns the speed to expect of a run."""
    if own := self._measured.get((run.task, run.algorithm)):
      return Speed(statistics.median(own), 'these runs')
    alike = [
      speed
      for (task, algorithm), speeds in self._measured.items()
      if task == run.task and _kind(algorithm) == _kind(run.algorithm)
      for speed in speeds
    ]
    if alike:
      return Speed(statistics.median(alike), 'runs of this task')
    kind = _kind(run.algorithm)
    default = DEFAULT_SPEEDS[kind].get(run.task, _FALLBACK_SPEEDS[kind])
    return Speed(default, 'default')

  def hours(self, run: Run, steps_done: int = 0) -> float:
    """Returns hours that are left of a run on its core.

    Args:
      run: the run.
      steps_done: environment steps that it has behind it.
    """
    left = run.num_steps - steps_done
    if left <= 0:
      return 0.0
    exploring = min(max(0, _EXPLORING_STEPS - steps_done), left)
    learning = (left - exploring) / self.speed(run).steps_per_second
    evaluations = math.ceil(left / EVALUATION_PERIOD) + (steps_done == 0)
    length = TASKS[run.task].episode_length if run.task in TASKS else 1_000
    # Of the mode and of the sampled policy.
    evaluated = evaluations * 2 * run.evaluation_episodes * length
    seconds = (
      _STARTUP_SECONDS
      + exploring / _EXPLORING_SPEED
      + learning
      + evaluated / _EVALUATION_SPEEDS.get(run.task.partition(':')[0], 700.0)
    )
    return seconds / 3600


def bytes_kept(run: Run, with_replay: bool) -> int:
  """Returns the bytes of a finished run: one checkpoint, with its replay or without."""
  task = TASKS.get(run.task)
  width = task.bytes_per_transition if task else 1_000
  replay = width * min(run.num_steps, 1_000_000) if with_replay else 0
  return replay + _OTHER_BYTES


def wall_hours(hours: Sequence[float], workers: int) -> float:
  """Returns hours until jobs are done that so many workers take in order."""
  free_at = [0.0] * workers
  for duration in hours:
    first = free_at.index(min(free_at))
    free_at[first] += duration
  return max(free_at)


def learning_speeds(path: str) -> list[float]:
  """Returns steps per second of those evaluation periods that were all learning."""
  rows = metrics_files.read_rows(path)
  return [
    row['steps_per_second']
    for before, row in itertools.pairwise(rows)
    if before['learner_steps'] > 0 and math.isfinite(row['steps_per_second'])
  ]


def _kind(algorithm: str) -> str:
  return 'sac' if algorithm == 'sac' else 'iq'
