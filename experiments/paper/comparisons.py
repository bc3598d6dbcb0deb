"""The paper's claims as comparisons: which of two algorithms is ahead, and how surely."""

import math
import os
from collections.abc import Sequence

import numpy as np
import scipy.stats

from experiments.paper import data, plans, tables
from experiments.paper.data import Curves
from experiments.paper.settings import (
  COEFFICIENTS,
  COMPARISONS,
  SUITES,
  TEMPERATURES,
  Variant,
)

METRIC = 'mode_return_mean'
_SWEEPS = {'temperature': TEMPERATURES, 'munchausen_coefficient': COEFFICIENTS}
# To deal seeds out; all ways of 20 seeds against 20 would take weeks.
_MOST_WAYS = 20_000
NAMES = ('comparisons', 'sweeps')


def write_all(
  root: str,
  output: str,
  *,
  names: Sequence[str] = (),
  tasks: Sequence[str] = (),
  algorithm_names: Sequence[str] = (),
  last_step: int | None = None,
) -> list[str]:
  """Writes the tables that there are runs for, as `paper_figures.draw_all` its figures.

  Args:
    root: the folder of all runs.
    output: the folder for tables.
    names: the only tables to write, of `NAMES`; all where empty.
    tasks: the only tasks; all where empty.
    algorithm_names: the only algorithms; all where empty.
    last_step: the budget: runs that have not reached it are left out. Where None, runs
      are compared as far as both reach.

  Returns:
    What was written, and what was not and why, a line each.
  """
  kept_tasks = plans.select_tasks((*SUITES['gym'], *SUITES['adroit']), tasks)

  def load(variants: Sequence[Variant]) -> dict[tuple[str, str], Curves]:
    kept = plans.select_variants(variants, algorithm_names)
    return data.load_all(root, kept_tasks, kept, METRIC, last_step)

  lines = []
  if not names or 'comparisons' in names:
    algorithms = dict.fromkeys(n for c in COMPARISONS for n in (c.ahead, c.behind))
    curves = load([Variant(name) for name in algorithms])
    lines.append(_write_comparisons(curves, os.path.join(output, 'comparisons')))
  if not names or 'sweeps' in names:
    curves = load([variant for sweep in _SWEEPS.values() for variant in sweep])
    lines.append(_write_sweeps(curves, os.path.join(output, 'sweeps')))
  return lines


def permutation_p_value(ahead: np.ndarray, behind: np.ndarray) -> float:
  """How likely a lead as large as this one would be, were both of one distribution.

  One-sided: the share of all ways to deal the seeds out again in which the difference
  of the means is at least what it is; of three seeds against three 0.05 at the least, of
  two against two 0.17. Exact up to seven seeds or so each; where there are more ways
  than `_MOST_WAYS`, of as many drawn at random, the same ones each time.

  Args:
    ahead: one number for each seed [n].
    behind: one number for each seed [m].

  Returns:
    The p-value; NaN where either is a single seed, which has no spread to speak of.
  """
  if min(len(ahead), len(behind)) < 2:
    return float('nan')
  exact = math.comb(len(ahead) + len(behind), len(ahead)) <= _MOST_WAYS
  result = scipy.stats.permutation_test(
    (ahead, behind),
    lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
    alternative='greater',
    n_resamples=np.inf if exact else _MOST_WAYS,
    vectorized=True,
    random_state=0,
  )
  return float(result.pvalue)


def _write_comparisons(curves: dict[tuple[str, str], Curves], stem: str) -> str:
  rows, summary, used = [], [], {}
  for comparison in COMPARISONS:
    for task in dict.fromkeys(task for task, _ in curves):
      keys = [(task, comparison.ahead), (task, comparison.behind)]
      if not all(key in curves for key in keys):
        continue
      used |= {key: curves[key] for key in keys}
      step = data.last_common_step([curves[key] for key in keys])
      if step == 0:
        continue
      pair = [curves[key].cut(step) for key in keys]
      row = {'claim': comparison.claim, 'task': task, 'step': step}
      shown = {
        'claim': comparison.claim,
        'task': task,
        'steps': f'{step:,}',
        'ahead, it says': f'{comparison.ahead} ({len(pair[0].seeds)})',
        'behind': f'{comparison.behind} ({len(pair[1].seeds)})',
      }
      for name, values in (
        ('last', [one.values[:, -1] for one in pair]),
        ('mean over training', [data.over_training(one) for one in pair]),
      ):
        p = permutation_p_value(*values)
        means = [float(v.mean()) for v in values]
        row |= {f'{name}: ahead': means[0], f'{name}: behind': means[1]}
        row |= {f'{name}: p': p}
        shown[name] = ' : '.join(tables.over_seeds(v) for v in values)
        shown[f'p, {name}'] = '' if np.isnan(p) else f'{p:.2f}'
      rows.append({**row, 'ahead': comparison.ahead, 'behind': comparison.behind})
      summary.append(shown)
  if not rows:
    return 'not written: comparisons: no task with two algorithms that a claim names'
  notes = [
    'In brackets the number of seeds. p is of the lead that the claim says: the share '
    'of all ways to deal the seeds out again, or of 20,000 random ones where there are '
    'more, that have as large a one (permutation test of the difference of means, '
    'one-sided; three seeds against three cannot get below 0.05, and one seed has '
    'none). Near 1 the other is ahead.',
    '± is the standard deviation over seeds (of a sample). "mean over training" is over '
    'all evaluations but the one before training.',
  ]
  notes += data.left_out_notes(used)
  _write("The paper's comparisons", rows, summary, notes, used, stem)
  return f'{stem}.csv, .md'


def _write_sweeps(curves: dict[tuple[str, str], Curves], stem: str) -> str:
  rows, summary, used = [], [], {}
  for task in dict.fromkeys(task for task, _ in curves):
    lines = {
      field: {
        f'{variant.overrides[field]:g}': curves[task, variant.label]
        for variant in sweep
        if (task, variant.label) in curves
      }
      for field, sweep in _SWEEPS.items()
      if data.is_swept(curves, task, sweep)
    }
    swept = [line for line in lines.values() if len(line) > 1]
    if not swept:
      continue
    # All at one step and of the same seeds, so that their spreads can be compared.
    every = [one for line in swept for one in line.values()]
    step = data.last_common_step(every)
    seeds = set.intersection(*(set(one.seeds) for one in every))
    if step == 0 or not seeds:
      continue
    for field, line in lines.items():
      if len(line) < 2:
        continue
      cut = {value: one.cut(step, sorted(seeds)) for value, one in line.items()}
      used |= {(task, f'{field}={value}'): one for value, one in cut.items()}
      last = {value: float(one.values[:, -1].mean()) for value, one in cut.items()}
      whole = {v: float(data.over_training(one).mean()) for v, one in cut.items()}
      for value in cut:
        rows.append(
          {
            'task': task,
            'step': step,
            'field': field,
            'value': value,
            'last': last[value],
            'mean over training': whole[value],
            'seeds': len(cut[value].seeds),
          }
        )
      summary.append(
        {
          'task': task,
          'field': field,
          'steps': f'{step:,}',
          'seeds': ', '.join(map(str, sorted(seeds))),
          'last, by value': _listed(last),
          'spread of last': f'{_spread(last):,.0f}',
          'mean over training, by value': _listed(whole),
          'spread of mean': f'{_spread(whole):,.0f}',
        }
      )
  if not rows:
    return 'not written: sweeps: no task with two values of a field'
  notes = [
    'The spread is the largest less the smallest, of means over seeds. All sweeps of a '
    'task are cut to the last step that all of their runs have come to, and to the seeds '
    'that all of their values have.'
  ]
  notes += data.left_out_notes(used)
  _write('Spread of the sweeps', rows, summary, notes, used, stem)
  return f'{stem}.csv, .md'


def _write(
  title: str,
  rows: list[tables.Row],
  summary: list[tables.Row],
  notes: list[str],
  used: dict[tuple[str, str], Curves],
  stem: str,
) -> None:
  table = tables.Table(
    title=title,
    rows=rows,
    summary=summary,
    notes=notes,
    folders=tuple(folder for one in used.values() for folder in one.folders),
    tasks=tuple(dict.fromkeys(task for task, _ in used)),
    seeds={f'{task} {label}': one.seeds for (task, label), one in used.items()},
    has_picture=False,
  )
  tables.write(table, stem)


def _spread(by_value: dict[str, float]) -> float:
  return max(by_value.values()) - min(by_value.values())


def _listed(by_value: dict[str, float]) -> str:
  return ', '.join(f'{value}: {number:,.0f}' for value, number in by_value.items())
