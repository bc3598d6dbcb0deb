"""Evaluations of a folder of runs, as figures and tables need them."""

import dataclasses
import glob
import os
from collections.abc import Sequence

import numpy as np

from experiments.paper import plans, scores
from experiments.paper.settings import BASELINE, Variant
from iq_acme.storage import files
from iq_acme.training.evaluations import read_evaluations
from iq_acme.training.run_directory import RunDirectory

METRIC = 'mode_return_mean'
# Of versions.json, what evaluations depend on.
_PACKAGES = ('dm-acme', 'jax', 'gymnasium', 'gymnasium-robotics', 'mujoco', 'numpy')


@dataclasses.dataclass(frozen=True)
class Curves:
  """Evaluations of one variant on one task.

  Attributes:
    steps: actor steps that all its runs have evaluated [T].
    values: a row for each seed [seeds, T].
    seeds: the seeds.
    folders: the runs' folders.
    left_out: seeds that have not come far enough to count, and how far, in words.
  """

  steps: np.ndarray
  values: np.ndarray
  seeds: tuple[int, ...]
  folders: tuple[str, ...]
  left_out: tuple[str, ...] = ()

  def cut(self, last_step: int, seeds: Sequence[int] | None = None) -> 'Curves':
    """Returns the same up to a step, and for some seeds only."""
    kept = self.steps <= last_step
    rows = [i for i, seed in enumerate(self.seeds) if seeds is None or seed in seeds]
    return Curves(
      self.steps[kept],
      self.values[np.ix_(rows, kept)],
      tuple(self.seeds[i] for i in rows),
      tuple(self.folders[i] for i in rows),
      self.left_out,
    )


AllCurves = dict[tuple[str, str], Curves]  # By task and the variant's label.


def load_curves(
  root: str, task: str, variant: Variant, metric: str, last_step: int | None = None
) -> Curves | None:
  """Reads the runs of a variant on a task.

  Args:
    root: the folder of all runs.
    task: an environment name.
    variant: an algorithm and its overrides.
    metric: a column of `eval.csv`.
    last_step: if given, runs that have not come so far are left out, and others
      are cut there. If None, all are cut to the shortest, and so many of the
      shortest are left out as leave the most evaluations of all seeds together.

  Returns:
    Their evaluations; None if there are none.

  Raises:
    ValueError: if `eval.csv` has no such column, or a run has other settings.
  """
  parent = os.path.dirname(
    os.path.join(root, plans.make_run(task, variant, 0, 1).folder)
  )
  found: dict[int, tuple[str, dict[int, float]]] = {}
  for folder in glob.glob(os.path.join(glob.escape(parent), 'seed_*')):
    evaluations = read_evaluations(folder, metric)
    if evaluations is None:
      continue
    run = plans.make_run(task, variant, evaluations.config['seed'], 1)
    if os.path.basename(folder) != os.path.basename(run.folder):
      continue  # Moved aside, such as to seed_0_old.
    plans.check_settings(run, root)
    if last_step is None or max(evaluations.values) >= last_step:
      found[run.seed] = (folder, evaluations.values)
  if not found:
    return None
  lengths = {seed: max(values) for seed, (_, values) in found.items()}
  seeds = tuple(sorted(found)) if last_step is not None else _most_steps(lengths)
  left_out = tuple(
    f'seed {seed} ({length:,} steps)'
    for seed, length in sorted(lengths.items())
    if seed not in seeds
  )
  found = {seed: found[seed] for seed in seeds}
  common = set.intersection(*(set(values) for _, values in found.values()))
  steps = np.array(sorted(s for s in common if last_step is None or s <= last_step))
  values = np.array([[found[seed][1][step] for step in steps] for seed in seeds])
  folders = tuple(found[seed][0] for seed in seeds)
  return Curves(steps, values, seeds, folders, left_out)


def _most_steps(lengths: dict[int, int]) -> tuple[int, ...]:
  """Returns the seeds with the most steps in all, each cut to the shortest of them."""
  longest_first = sorted(lengths, key=lambda seed: (-lengths[seed], seed))
  count = max(
    range(1, len(lengths) + 1),
    key=lambda count: (count * lengths[longest_first[count - 1]], count),
  )
  return tuple(sorted(longest_first[:count]))


@dataclasses.dataclass(frozen=True)
class Source:
  """Runs that figures and tables are made of.

  Attributes:
    root: the folder of all runs.
    tasks: the only tasks; all if empty.
    algorithm_names: the only algorithms; all if empty.
    last_step: the budget: runs that have not reached it are left out. If None, runs are
      taken as far as those beside them reach.
  """

  root: str
  tasks: Sequence[str] = ()
  algorithm_names: Sequence[str] = ()
  last_step: int | None = None

  @property
  def is_whole(self) -> bool:
    """Whether these are all runs, as far as they reach."""
    return not self.tasks and not self.algorithm_names and self.last_step is None

  def load(
    self,
    tasks: Sequence[str],
    variants: Sequence[Variant],
    metric: str = METRIC,
    always: Sequence[str] = (),
  ) -> AllCurves:
    """Reads all curves there are, by task and label, in that order.

    Args:
      tasks: of which those are kept that are among the source's.
      variants: likewise.
      metric: a column of `eval.csv`.
      always: algorithms that are kept in any case.
    """
    names = self.algorithm_names and [*self.algorithm_names, *always]
    loaded = {
      (task, one.label): load_curves(self.root, task, one, metric, self.last_step)
      for task in plans.select_tasks(tasks, self.tasks)
      for one in plans.select_variants(variants, names)
    }
    return {key: curves for key, curves in loaded.items() if curves is not None}


def left_out_notes(curves: AllCurves) -> list[str]:
  """Returns a sentence for each curve that is not of all of its seeds."""
  return [
    f'{task} {label} is without {", ".join(one.left_out)}.'
    for (task, label), one in curves.items()
    if one.left_out
  ]


def by_task(curves: AllCurves) -> dict[str, dict[str, Curves]]:
  """Returns the curves of each task, by label."""
  found: dict[str, dict[str, Curves]] = {}
  for (task, label), one in curves.items():
    found.setdefault(task, {})[label] = one
  return found


def is_swept(curves: AllCurves, task: str, sweep: Sequence[Variant]) -> bool:
  """Tells if a task has a run of the sweep other than of the paper's settings."""
  return any(
    (task, variant.label) in curves and plans.is_changed(task, variant)
    for variant in sweep
  )


def last_common_step(curves: Sequence[Curves]) -> int:
  """Returns the last step that all of them have, 0 if they share none."""
  common = set.intersection(*(set(one.steps.tolist()) for one in curves))
  return max(common, default=0)


def over_training(curves: Curves) -> np.ndarray:
  """Averages each seed's evaluations but the one before training [seeds]."""
  later = curves.values[:, curves.steps > 0]
  return (later if later.shape[1] else curves.values).mean(axis=1)


@dataclasses.dataclass(frozen=True)
class Scored:
  """Normalised evaluations of several variants on the same tasks, seeds and steps.

  Attributes:
    steps: [T].
    scores: [seeds, tasks, T] by the variant's label.
    tasks: their names.
    seeds: the seeds that every variant has on every task.
    references: (random policy's, baseline's) return by task.
    folders: of all the runs.
  """

  steps: np.ndarray
  scores: dict[str, np.ndarray]
  tasks: tuple[str, ...]
  seeds: tuple[int, ...]
  references: dict[str, tuple[float, float]]
  folders: tuple[str, ...]


def score_variants(
  curves: AllCurves,
  random_returns: dict[str, float],
  tasks: Sequence[str],
  labels: Sequence[str],
) -> Scored:
  """Normalises curves by the baseline's mean at the last step that all have.

  Args:
    curves: by task and variant's label; all of `tasks` times `labels`, and the
      baseline on each task.
    random_returns: by task.
    tasks: which tasks.
    labels: which variants.

  Returns:
    Their scores on the seeds and steps that they share.

  Raises:
    ValueError: if they share no seed or step, or a baseline is no better than
      random.
  """
  used = [curves[task, label] for task in tasks for label in {*labels, BASELINE}]
  seeds = sorted(set.intersection(*(set(one.seeds) for one in used)))
  steps = sorted(set.intersection(*(set(one.steps.tolist()) for one in used)))
  if not seeds or not steps or steps[-1] == 0:
    raise ValueError(
      f'the runs of {", ".join(labels)} share no seed, or no step of training'
    )
  references = {}
  for task in tasks:
    # All the baseline's seeds: the scale should be as exact as it can be.
    baseline = curves[task, BASELINE].cut(steps[-1])
    references[task] = (random_returns[task], float(baseline.values[:, -1].mean()))

  def normalize(task: str, label: str) -> np.ndarray:
    one = curves[task, label].cut(steps[-1], seeds)
    try:
      return scores.normalize(
        one.values[:, np.isin(one.steps, steps)], *references[task]
      )
    except ValueError as error:
      raise ValueError(f'{task} at {steps[-1]:,} steps: {error}') from None

  by_label = {
    label: np.stack([normalize(task, label) for task in tasks], axis=1)
    for label in labels
  }
  folders = tuple(folder for one in used for folder in one.folders)
  return Scored(
    np.array(steps), by_label, tuple(tasks), tuple(seeds), references, folders
  )


def provenance(folders: Sequence[str]) -> dict[str, list[str]]:
  """Lists what runs were made with: each value that occurs, by 'commit' and package."""
  found: dict[str, set[str]] = {}
  for folder in folders:
    for start in files.read_json(RunDirectory(folder).versions, list) or []:
      found.setdefault('commit', set()).add(str(start.get('commit')))
      for name in _PACKAGES:
        version = start.get('packages', {}).get(name)
        found.setdefault(name, set()).add(str(version))
  return {name: sorted(values) for name, values in found.items()}
