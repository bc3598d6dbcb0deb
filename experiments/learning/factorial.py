"""Which settings the screen adopts: the effects of seven, with intervals.

    python -m experiments.paper run factorial --root=runs/factorial
    python -m experiments.learning.factorial --root=runs/factorial

or, of networks of 64 units and batches of 64, in a fifth of the time,

    python -m experiments.paper run factorial_small --root=runs/factorial
    python -m experiments.learning.factorial --plan=factorial_small --root=runs/factorial

What the second adopts is a candidate, to be confirmed at the paper's size. The score and
the rule of choice, written before any run:

- A run's score is the mean of `mode_return_mean` over its evaluations from 10,000 steps
  on. On each task it is standardised by mean and standard deviation of the 16 runs'; the
  mean over both tasks is the score of a row of the design.
- An effect is the mean score of the 8 rows at the other level less that of the 8 at
  today's. Its 95% interval is Lenth's: all 15 contrasts of the design give his pseudo
  standard error, with 5 degrees of freedom (Lenth 1989, "Quick and Easy Analysis of
  Unreplicated Factorials").
- Over-estimation at the end is (V at the first state - the discounted return that
  follows) / |that return|, of the mode at the last step. That of a level is the median
  over its 16 runs, 8 on each task; today's level is the baseline.
- The other level is adopted if the whole interval is above 0 and its over-estimation
  does not exceed the baseline's. Else today's level stays.

Nothing is stopped early or left out: a task without all of its 16 runs is not analysed,
and nothing is adopted until both are. (Until 27 November 2026, when three runs of each
task were made and the best return of one of each had been seen, no task was to be shown
without the other; what is adopted, and when, is unchanged.) Writes `<plan>.csv`, `.md`,
`.png` and the scores of all runs, `<plan>_runs.csv`.
"""

import os
import sys
from collections.abc import Sequence

import numpy as np

from experiments import RESULTS
from experiments.learning import design
from experiments.learning.effects import Effect, Screen, analyse
from experiments.learning.settings import LEARNING_PLANS
from experiments.paper import plans, tables
from experiments.paper.plans import short_name
from iq_acme.commands import parsing
from iq_acme.training import metrics_files, panels
from iq_acme.training.evaluations import read_evaluations

FIRST_STEP = 10_000
PLANS = ('factorial', 'factorial_small')

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string('root', None, 'Folder of all runs.', required=True)
_define.enum('plan', PLANS[0], PLANS, 'Which screen.')
_define.string('output_dir', str(RESULTS / 'learning'), 'Folder of tables and figures.')


def main() -> None:
  """Reads the screen, and writes its tables and its figure."""
  with parsing.refusing(ValueError):
    screen = read(FLAGS.root, FLAGS.plan)
  effects = analyse(screen)
  stem = os.path.join(FLAGS.output_dir, FLAGS.plan)
  tables.write(make_table(screen, effects, FLAGS.plan), stem)
  metrics_files.write_rows(f'{stem}_runs.csv', run_rows(screen))
  draw(screen, effects, f'{stem}.png')
  print(verdict(screen, effects))


def read(root: str, plan: str = PLANS[0]) -> Screen:
  """Reads the runs of every task that has all of them.

  Args:
    root: the folder of all runs.
    plan: one of `PLANS`.

  Raises:
    ValueError: if each task misses a run, or a run is of other settings.
  """
  runs = [run for study in LEARNING_PLANS[plan] for run in plans.study_runs(study)]
  missing = [run for run in runs if not plans.status(run, root).finished]
  tasks = tuple(
    task for task in design.TASKS if task not in {run.task for run in missing}
  )
  if not tasks:
    raise ValueError(
      f'{len(missing)} of {len(runs)} runs of the screen are missing or not finished in '
      f'{root}, such as {missing[0].name}; a task needs all of its {len(design.signs())}.'
    )
  folders = tuple(os.path.join(root, run.folder) for run in runs if run.task in tasks)
  found = np.array([_measure(folder) for folder in folders])  # [tasks * 16, 2]
  scores, overestimation = found.T.reshape(2, len(tasks), -1)
  return Screen(tasks, scores, overestimation, folders)


def verdict(screen: Screen, effects: Sequence[Effect]) -> str:
  """Says what the rule adopts, in a line."""
  absent = [short_name(task) for task in design.TASKS if task not in screen.tasks]
  if absent:
    return f'Nothing is adopted yet: {", ".join(absent)} misses runs.'
  titles = {factor.letter: factor.title for factor in design.FACTORS}
  adopted = [titles[effect.name] for effect in effects if effect.is_adopted]
  return f'Adopted, the second level of: {"; ".join(adopted) or "none"}.'


def run_rows(screen: Screen) -> list[tables.Row]:
  """Lists the level of each factor, 1 for the other, and what the run came to."""
  return [
    {
      'task': task,
      'seed': seed,
      **{factor.field: int(run[factor.letter] > 0) for factor in design.FACTORS},
      'mean_over_training': float(screen.scores[t, seed]),
      'overestimation': float(screen.overestimation[t, seed]),
    }
    for t, task in enumerate(screen.tasks)
    for seed, run in enumerate(design.signs())
  ]


def make_table(
  screen: Screen, effects: Sequence[Effect], plan: str = PLANS[0]
) -> tables.Table:
  """Makes a table of the effects."""
  rows = [_row(screen, effect) for effect in effects]
  summary = [_summary_row(screen, effect) for effect in effects]
  notes = [
    verdict(screen, effects),
    "Effects are at the second level less the first; ± is half of Lenth's 95% interval. "
    'The score is in standard deviations of the 16 runs of a task, the returns are means '
    'over training.',
    'Over-estimation: median of (V - discounted return) / |discounted return| at the '
    'last step, first level and second.',
    f'Every run is in [{plan}_runs.csv]({plan}_runs.csv).',
  ]
  return tables.Table(
    LEARNING_PLANS[plan][0].title,
    rows,
    summary,
    notes,
    screen.folders,
    screen.tasks,
    {'each run': range(len(design.signs()))},
  )


def draw(screen: Screen, effects: Sequence[Effect], path: str) -> None:
  """Draws the effects with their intervals: on the score, and on each task's return."""
  names = [_title(effect) for effect in effects]
  figure = panels.make_figure(columns=2, rows=1)
  all_axes = figure.subplots(1, 1 + len(screen.tasks), sharey=True)
  titles = (
    'score (std of runs)',
    *(f'return, {short_name(task)}' for task in screen.tasks),
  )
  for i, (axes, title) in enumerate(zip(all_axes, titles)):
    for y, effect in enumerate(effects):
      axes.errorbar(
        (effect.score, *effect.returns)[i],
        y,
        xerr=(effect.margin, *effect.return_margins)[i],
        fmt='o',
        color='#0072B2' if len(effect.name) == 1 else '0.55',
        capsize=3,
      )
    axes.axvline(0, color='0.3', linewidth=1)
    axes.set_title(title, fontsize='medium')
    axes.set_xlabel('effect')
    axes.grid(axis='x', alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)
  all_axes[0].set_yticks(range(len(names)), names, fontsize='small')
  all_axes[0].invert_yaxis()
  figure.suptitle("Effects at the second level, with Lenth's 95% intervals")
  panels.save_figure(figure, path)


def _measure(folder: str) -> tuple[float, float]:
  """Reads a run's score and its over-estimation at the end."""
  columns = ('mode_return_mean', 'mode_initial_value', 'mode_discounted_return')
  returns, values, discounted = (
    {
      step: value
      for step, value in read_evaluations(folder, column).values.items()
      if FIRST_STEP <= step <= design.NUM_STEPS
    }
    for column in columns
  )
  last = max(returns)
  excess = (values[last] - discounted[last]) / abs(discounted[last])
  return float(np.mean(list(returns.values()))), excess


def _row(screen: Screen, effect: Effect) -> tables.Row:
  """Returns all there is to say of an effect."""
  row = {
    'effect': effect.name,
    'aliases': ' '.join(effect.aliases),
    'score': effect.score,
    'score_margin': effect.margin,
  }
  for task, value, margin in zip(screen.tasks, effect.returns, effect.return_margins):
    row[f'return_{short_name(task)}'] = float(value)
    row[f'return_margin_{short_name(task)}'] = float(margin)
  row['overestimation_today'], row['overestimation_other'] = effect.overestimation
  return {**row, 'adopted': int(effect.is_adopted)}


def _summary_row(screen: Screen, effect: Effect) -> tables.Row:
  is_main = len(effect.name) == 1
  row = {
    'effect': _title(effect),
    'score': f'{effect.score:+.2f} ± {effect.margin:.2f}',
  }
  for task, value, margin in zip(screen.tasks, effect.returns, effect.return_margins):
    row[f'return, {short_name(task)}'] = f'{value:+,.0f} ± {margin:,.0f}'
  today, other = effect.overestimation
  row['over-estimation'] = f'{today:.0%}, {other:.0%}' if is_main else ''
  row['adopted'] = ('yes' if effect.is_adopted else 'no') if is_main else ''
  return row


def _title(effect: Effect) -> str:
  titles = {factor.letter: factor.title for factor in design.FACTORS}
  # No equals sign: a contrast is the sum of these.
  return titles.get(effect.name, ' + '.join(effect.aliases[:3]))


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
