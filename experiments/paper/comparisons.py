"""The paper's claims as comparisons: which of two algorithms is ahead, and how surely."""

import math
import os
from collections.abc import Sequence

import numpy as np
import scipy.stats

from experiments.paper import data, tables
from experiments.paper.data import Curves
from experiments.paper.settings import (
  COEFFICIENTS,
  COMPARISONS,
  SUITES,
  TEMPERATURES,
  Comparison,
  Variant,
)

_SWEEPS = {'temperature': TEMPERATURES, 'munchausen_coefficient': COEFFICIENTS}
# To deal seeds out; all ways of 20 seeds against 20 would take weeks.
_MOST_WAYS = 20_000
NAMES = ('comparisons', 'sweeps')


def write_all(source: data.Source, output: str, names: Sequence[str] = ()) -> list[str]:
  """Writes the tables that there are runs for, as `figures.draw_all` its figures.

  Args:
    source: the runs.
    output: the folder for tables.
    names: the only tables to write, of `NAMES`; all if empty.

  Returns:
    What was written, and what was not and why, a line each.
  """
  tasks = (*SUITES['gym'], *SUITES['adroit'])
  algorithms = dict.fromkeys(n for c in COMPARISONS for n in (c.ahead, c.behind))
  variants = {
    'comparisons': [Variant(name) for name in algorithms],
    'sweeps': [variant for sweep in _SWEEPS.values() for variant in sweep],
  }
  write = {'comparisons': _write_comparisons, 'sweeps': _write_sweeps}
  return [
    write[name](source.load(tasks, variants[name]), os.path.join(output, name))
    for name in NAMES
    if not names or name in names
  ]


def permutation_p_value(ahead: np.ndarray, behind: np.ndarray) -> float:
  """Tells how likely so large a lead would be, were both of one distribution.

  One-sided: the share of all ways to deal the seeds out again in which the difference
  of the means is at least what it is; of three seeds against three 0.05 at the least, of
  two against two 0.17. Exact up to seven seeds or so each; if there are more ways
  than `_MOST_WAYS`, of as many drawn at random, the same ones each time.

  Args:
    ahead: one number for each seed [n].
    behind: one number for each seed [m].

  Returns:
    The p-value; NaN if either is a single seed, which has no spread to speak of.
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


def _write_comparisons(curves: data.AllCurves, stem: str) -> str:
  rows, summary, used = [], [], {}
  for comparison in COMPARISONS:
    for task, lines in data.by_task(curves).items():
      names = comparison.ahead, comparison.behind
      if not all(name in lines for name in names):
        continue
      used |= {(task, name): lines[name] for name in names}
      step = data.last_common_step([lines[name] for name in names])
      if step > 0:
        pair = [lines[name].cut(step) for name in names]
        row, shown = _compare(comparison, task, step, pair)
        rows.append(row)
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
  title = "The paper's comparisons"
  table = tables.Table.of_curves(title, rows, summary, notes, used, has_picture=False)
  tables.write(table, stem)
  return f'{stem}.csv, .md'


def _compare(
  comparison: Comparison, task: str, step: int, pair: Sequence[Curves]
) -> tuple[tables.Row, tables.Row]:
  """Returns a comparison on a task, for the file and for the page."""
  ahead, behind = pair
  row = {'claim': comparison.claim, 'task': task, 'step': step}
  shown = {
    'claim': comparison.claim,
    'task': task,
    'steps': f'{step:,}',
    'ahead, it says': f'{comparison.ahead} ({len(ahead.seeds)})',
    'behind': f'{comparison.behind} ({len(behind.seeds)})',
  }
  for name, values in (
    ('last', [one.values[:, -1] for one in pair]),
    ('mean over training', [data.over_training(one) for one in pair]),
  ):
    p = permutation_p_value(*values)
    row |= {
      f'{name}: ahead': float(values[0].mean()),
      f'{name}: behind': float(values[1].mean()),
      f'{name}: p': p,
    }
    shown[name] = ' : '.join(tables.over_seeds(v) for v in values)
    shown[f'p, {name}'] = '' if np.isnan(p) else f'{p:.2f}'
  return {**row, 'ahead': comparison.ahead, 'behind': comparison.behind}, shown


def _write_sweeps(curves: data.AllCurves, stem: str) -> str:
  rows, summary, used = [], [], {}
  for task, lines in data.by_task(curves).items():
    sweeps = {
      field: {
        f'{variant.overrides[field]:g}': lines[variant.label]
        for variant in sweep
        if variant.label in lines
      }
      for field, sweep in _SWEEPS.items()
      if data.is_swept(curves, task, sweep)
    }
    sweeps = {field: sweep for field, sweep in sweeps.items() if len(sweep) > 1}
    if not sweeps:
      continue
    # All at one step and of the same seeds, so that their spreads can be compared.
    every = [one for sweep in sweeps.values() for one in sweep.values()]
    step = data.last_common_step(every)
    seeds = sorted(set.intersection(*(set(one.seeds) for one in every)))
    if step == 0 or not seeds:
      continue
    for field, sweep in sweeps.items():
      cut = {value: one.cut(step, seeds) for value, one in sweep.items()}
      used |= {(task, f'{field}={value}'): one for value, one in cut.items()}
      rows += _sweep_rows(task, field, cut)
      summary.append(_sweep_summary(task, field, cut))
  if not rows:
    return 'not written: sweeps: no task with two values of a field'
  notes = [
    'The spread is the largest less the smallest, of means over seeds. All sweeps of a '
    'task are cut to the last step that all of their runs have come to, and to the seeds '
    'that all of their values have.'
  ]
  title = 'Spread of the sweeps'
  table = tables.Table.of_curves(title, rows, summary, notes, used, has_picture=False)
  tables.write(table, stem)
  return f'{stem}.csv, .md'


def _sweep_rows(task: str, field: str, sweep: dict[str, Curves]) -> list[tables.Row]:
  return [
    {
      'task': task,
      'step': int(one.steps[-1]),
      'field': field,
      'value': value,
      'last': float(one.values[:, -1].mean()),
      'mean over training': float(data.over_training(one).mean()),
      'seeds': len(one.seeds),
    }
    for value, one in sweep.items()
  ]


def _sweep_summary(task: str, field: str, sweep: dict[str, Curves]) -> tables.Row:
  rows = _sweep_rows(task, field, sweep)
  shown = {
    'task': task,
    'field': field,
    'steps': f'{rows[0]["step"]:,}',
    'seeds': ', '.join(map(str, next(iter(sweep.values())).seeds)),
  }
  for name, title in (('last', 'last'), ('mean over training', 'mean')):
    values = [row[name] for row in rows]
    shown[f'{name}, by value'] = ', '.join(
      f'{r["value"]}: {r[name]:,.0f}' for r in rows
    )
    shown[f'spread of {title}'] = f'{max(values) - min(values):,.0f}'
  return shown
