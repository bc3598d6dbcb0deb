"""Over-estimation over training: V at the first state less the return that follows.

    python -m experiments.learning.overestimation --root=runs/learning
    python -m experiments.learning.overestimation --stem=tandem --runs='runs/tandem/*/*/*'

For each task of a plan, or of the folders that are given, by what each calls its
algorithm: a figure with the mode's return, V at the first state less the
discounted return from there, and the entropy per dimension along the mode's episodes,
over environment steps, a line per variant; and the same at the last step as a table,
with what each is ahead of the M-IQ of the fewest changes.
Runs that have not come to the plan's last step are left out; those of folders are cut to
the shortest of their line. Writes `<stem>_<task>.csv`, `.md` and `.png` to
`experiments/results/learning`.
"""

import dataclasses
import functools
import glob
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from experiments import RESULTS
from experiments.learning import lines
from experiments.learning.settings import LEARNING_PLANS
from experiments.paper import data, plans, tables
from experiments.paper.comparisons import permutation_p_value
from experiments.paper.settings import Study, Variant
from iq_acme.commands import parsing
from iq_acme.storage import files
from iq_acme.training import metrics_files, panels, plotting
from iq_acme.training.run_directory import RunDirectory

COLUMNS = RETURN, VALUE, DISCOUNTED, ENTROPY = (
  'mode_return_mean',
  'mode_initial_value',
  'mode_discounted_return',
  'mode_policy_entropy_per_dim',
)
Assessed = Mapping[str, data.Curves]  # Of a variant on a task, by `COLUMNS`.
# Of any family: each says in the name what its entropy is of.
_ENTROPY = re.compile(r'mode_\w+_entropy_per_dim')
# Differences up to this size are drawn to scale, larger ones by their logarithm.
_LINEAR = 10.0

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string('root', None, 'Folder of all runs of the plan.')
_define.multi_string(
  'runs', [], 'Folders of runs instead, as a pattern; may be repeated.'
)
_define.string('stem', 'overestimation', 'What the names of the files begin with.')
_define.string('output_dir', str(RESULTS / 'learning'), 'Folder of tables and figures.')
_define.enum(
  'plan', 'remedies', list(LEARNING_PLANS), 'Of experiments/learning/settings.py.'
)


def main() -> None:
  """Writes figures and tables, and says which."""
  with parsing.refusing(ValueError):
    if bool(FLAGS.root) == bool(FLAGS.runs):
      raise ValueError('Give --root, of a plan, or --runs, and not both.')
    if FLAGS.root:
      found, planned = load_plan(FLAGS.root, LEARNING_PLANS[FLAGS.plan])
    else:
      found, planned = load_folders(FLAGS.runs), {}
    written = write_all(found, os.path.join(FLAGS.output_dir, FLAGS.stem), planned)
  print('\n'.join(written))


def write_all(
  found: Mapping[str, dict[str, Assessed]], stem: str, planned: Mapping[str, int] = {}
) -> list[str]:
  """Writes figure and tables of each task.

  Args:
    found: by task and variant's label.
    stem: path that the names of the files begin with.
    planned: how many runs the plan has that they are of, by task.

  Returns:
    A line for each task, of what was written and how many runs are in it.
  """
  written = []
  for task, variants in found.items():
    path = f'{stem}_{plans.short_name(task)}'
    count = sum(len(assessed[RETURN].seeds) for assessed in variants.values())
    note = f'Runs shown: {count}.'
    if task in planned:
      note = f'{count} of {planned[task]} runs are finished and shown.'
    written.append(f'{files.readable_path(path)}.csv, .md, .png: {note}')
    variants, shared = _without_shared(variants)
    if shared:
      note += f' All have {shared}.'
    tables.write(make_table(task, variants, note), path)
    draw(f'{task} {shared}'.strip(), variants, f'{path}.png')
  return written


def load_plan(
  root: str, studies: Sequence[Study]
) -> tuple[dict[str, dict[str, Assessed]], dict[str, int]]:
  """Reads the finished runs of a plan.

  Args:
    root: the folder of all runs.
    studies: of a plan; those of the same task share a figure.

  Returns:
    What was found by task and the variant's label, and how many runs the plan has, by
    task.

  Raises:
    ValueError: if no run is finished, or one has other settings or no such columns.
  """
  found: dict[str, dict[str, Assessed]] = {}
  planned = dict.fromkeys((task for study in studies for task in study.tasks), 0)
  for study in studies:
    for task in study.tasks:
      planned[task] += len(study.variants) * study.num_seeds
      for variant in study.variants:
        assessed = load(root, task, variant, study.num_steps)
        if assessed is not None:
          found.setdefault(task, {})[variant.label] = assessed
  if not found:
    raise ValueError(f'No run of {len(studies)} studies is finished in {root}.')
  return found, planned


def _without_shared(variants: dict[str, Assessed]) -> tuple[dict[str, Assessed], str]:
  """Takes out of labels the changes that all of them name, and returns both."""
  changes = [label.split()[1:] for label in variants]
  several = len(changes) > 1
  shared = [word for word in changes[0] if several and all(word in c for c in changes)]
  without = {
    ' '.join(word for word in label.split() if word not in shared): assessed
    for label, assessed in variants.items()
  }
  return without, ' '.join(shared)


def load_folders(patterns: Sequence[str]) -> dict[str, dict[str, Assessed]]:
  """Reads runs by their folders.

  Args:
    patterns: of folders.

  Returns:
    What was found, by task and the runs' own names of their algorithms.

  Raises:
    ValueError: if there is no evaluation, or not of such columns, or two folders are of
      one algorithm, task and seed.
  """
  paths = sorted({path for one in patterns for path in glob.glob(one)})
  runs: dict[tuple[str, str], dict[int, str]] = {}
  for folder, (config, _) in plotting.read_runs(paths, RETURN):
    seed, line = config['seed'], (config['env_name'], config['algorithm'])
    known = runs.setdefault(line, {}).setdefault(seed, folder)
    if known != folder:
      raise ValueError(
        f'{known} and {folder} are both {line[1]} on {line[0]} with seed {seed}: leave '
        'one out.'
      )
  if not runs:
    raise ValueError(f'No evaluations of a run are in {", ".join(patterns)}.')
  by_task: dict[str, dict[str, Assessed]] = {}
  for (task, algorithm), folders in runs.items():
    by_task.setdefault(task, {})[algorithm] = _assess(
      functools.partial(_curves, folders)
    )
  return by_task


def _curves(folders: Mapping[int, str], column: str) -> data.Curves:
  """Reads a column of runs, by seed, at the steps that all of them have."""
  found = plotting.read_runs(list(folders.values()), column)
  values = [evaluations.values for _, evaluations in found]
  steps = sorted(set.intersection(*map(set, values)))
  return data.Curves(
    np.array(steps),
    np.array([[one[step] for step in steps] for one in values]),
    tuple(folders),
    tuple(folders.values()),
  )


def load(root: str, task: str, variant: Variant, num_steps: int) -> Assessed | None:
  """Reads the finished runs of a variant on a task; None if there is none."""
  read = functools.partial(data.load_curves, root, task, variant, last_step=num_steps)
  return _assess(read)


def _assess(read: Callable[[str], data.Curves | None]) -> Assessed | None:
  """Reads all columns; entropy is whichever the policy has, NaN of Acme's SAC.

  Args:
    read: column of `eval.csv` -> its curves, None if there are no runs.
  """
  returns = read(RETURN)
  if returns is None:
    return None
  rows = metrics_files.read_rows(RunDirectory(returns.folders[0]).evaluations)
  entropy = [name for name in rows[0] if _ENTROPY.fullmatch(name)]
  nan = np.full_like(returns.values, np.nan)
  return {
    RETURN: returns,
    VALUE: read(VALUE),
    DISCOUNTED: read(DISCOUNTED),
    ENTROPY: read(entropy[0]) if entropy else dataclasses.replace(returns, values=nan),
  }


def excess(assessed: Assessed) -> np.ndarray:
  """Returns V at the first state less what came [seeds, T]."""
  return assessed[VALUE].values - assessed[DISCOUNTED].values


def make_table(task: str, variants: dict[str, Assessed], note: str) -> tables.Table:
  """Makes a table of all evaluations, with the last ones as its summary.

  Args:
    task: an environment name.
    variants: by label.
    note: how many runs it is of.
  """
  rows = [
    {'task': task, 'variant': label, 'seed': seed, 'step': int(step)}
    | {column: float(assessed[column].values[i, t]) for column in COLUMNS}
    for label, assessed in variants.items()
    for i, seed in enumerate(assessed[RETURN].seeds)
    for t, step in enumerate(assessed[RETURN].steps)
  ]
  notes = [
    note,
    'Means over seeds, ± the standard deviation of a sample. V is at the first state, '
    'the discounted return from there, the entropy along the episodes, all of the '
    "mode's, over 5 episodes at the last step.",
    'Over-estimation: (V - discounted return) / |discounted return|, mean over seeds, '
    'and each of them.',
  ]
  # The fewest changes; of the runs' own names, which have no spaces, the shortest.
  baseline = min(
    variants,
    key=lambda label: (not label.startswith('m_iq'), len(label.split()), len(label)),
  )
  scores = {label: data.over_training(one[RETURN]) for label, one in variants.items()}
  notes.append(
    f'Ahead: mean over training less that of `{baseline}`, and of several seeds p of an '
    'exact one-sided permutation test, of the side that it is on.'
  )
  return tables.Table(
    f'Over-estimation on {task}',
    rows,
    [
      _summary(label, assessed)
      | {'ahead': '' if label == baseline else _lead(scores[label], scores[baseline])}
      for label, assessed in variants.items()
    ],
    notes,
    tuple(
      folder for assessed in variants.values() for folder in assessed[RETURN].folders
    ),
    (task,),
    {label: assessed[RETURN].seeds for label, assessed in variants.items()},
  )


def draw(title: str, variants: dict[str, Assessed], path: str) -> None:
  """Draws return, over-estimation and entropy over steps, a line per variant.

  Args:
    title: stands above.
    variants: by label.
    path: the picture to write.
  """
  from matplotlib.ticker import EngFormatter

  figure, all_axes = panels.make_panels(3)
  for index, (label, assessed) in enumerate(variants.items()):
    shown = assessed[RETURN].values, excess(assessed), assessed[ENTROPY].values
    for axes, values in zip(all_axes, shown):
      curve = panels.Curve.of_seeds(assessed[RETURN].steps, values, label)
      panels.draw_curve(axes, curve, index)
  all_axes[0].set_title("the mode's return")
  all_axes[1].set_title('V at the first state, less the discounted return')
  all_axes[1].set_yscale('symlog', linthresh=_LINEAR)
  all_axes[1].yaxis.set_major_formatter('{x:,.0f}')
  all_axes[1].axhline(0, color='0.4', linewidth=1, zorder=0)
  all_axes[2].set_title('entropy of the policy, nats per dimension')
  all_axes[2].set_ylim(bottom=0)
  for axes in all_axes:
    axes.set_xlabel('environment steps')
    axes.xaxis.set_major_formatter(EngFormatter(sep=''))
    axes.set_xlim(left=0)
  figure.suptitle(title)
  has_bands = any(len(assessed[RETURN].seeds) > 1 for assessed in variants.values())
  band = 'line: mean over seeds; band: their standard deviation' if has_bands else None
  lines.legend_below(figure, all_axes[0], band)
  panels.save_figure(figure, path)


def _summary(label: str, assessed: Assessed) -> tables.Row:
  """Returns the last step of a variant."""
  returns, value, discounted, entropy = (assessed[column] for column in COLUMNS)
  last_entropy = entropy.values[:, -1]
  fractions = excess(assessed)[:, -1] / np.abs(discounted.values[:, -1])
  each = f' ({", ".join(f"{x:+.0%}" for x in fractions)})' if len(fractions) > 1 else ''
  return {
    'variant': label,
    'seeds': len(returns.seeds),
    'steps': f'{int(returns.steps[-1]):,}',
    'return': tables.over_seeds(returns.values[:, -1]),
    'mean over training': tables.over_seeds(data.over_training(returns)),
    'V': tables.over_seeds(value.values[:, -1]),
    'discounted return': tables.over_seeds(discounted.values[:, -1]),
    'over-estimation': f'{fractions.mean():+.0%}{each}',
    'entropy per dimension': (
      '' if np.isnan(last_entropy).all() else tables.over_seeds(last_entropy, 3)
    ),
  }


def _lead(scores: np.ndarray, baseline: np.ndarray) -> str:
  """Shows by how much scores [seeds] are ahead of others, and how surely."""
  lead = scores.mean() - baseline.mean()
  ahead, behind = (scores, baseline) if lead > 0 else (baseline, scores)
  p_value = permutation_p_value(ahead, behind)
  return f'{lead:+,.0f}' + ('' if np.isnan(p_value) else f' (p {p_value:.3f})')


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
