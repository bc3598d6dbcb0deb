"""Which algorithm is ahead, and how surely, from runs written by hand."""

import numpy as np
import pytest
import scipy.stats
from written_runs import CHEETAH, HOPPER, read_rows, write_run

from experiments.paper import comparisons
from experiments.paper.settings import Variant


@pytest.mark.parametrize(
  ('ahead', 'behind', 'p'),
  [
    # Of the 20 ways to deal six seeds out, this one alone has so large a lead.
    ([3.0, 4.0, 5.0], [0.0, 1.0, 2.0], 1 / 20),
    ([0.0, 1.0, 2.0], [3.0, 4.0, 5.0], 1.0),
    # {4, 5, 1} and {4, 5, 2} and {4, 5, 3}, of 20, lead by 2/3 * 2 or more.
    ([1.0, 4.0, 5.0], [0.0, 2.0, 3.0], 4 / 20),
    ([3.0, 4.0], [0.0, 1.0], 1 / 6),
    ([3.0], [0.0, 1.0], np.nan),
  ],
)
def test_p_values_by_hand(ahead, behind, p):
  found = comparisons.permutation_p_value(np.array(ahead), np.array(behind))
  np.testing.assert_allclose(found, p, rtol=1e-12)


def test_comparisons_are_made_on_every_task_as_far_as_both_have_come(tmp_path):
  root, output = tmp_path / 'runs', tmp_path / 'out'
  for seed in range(2):
    write_run(root, HOPPER, Variant('m_iq'), [0, 100, 50 + seed], seed=seed)
    write_run(root, HOPPER, Variant('sac'), [0, 20 + seed, 40, 900], seed=seed)
  write_run(root, CHEETAH, Variant('m_iq'), [-100, 7])
  write_run(root, CHEETAH, Variant('iq'), [-100, 9])
  lines = comparisons.write_all(str(root), str(output), names=['comparisons'])
  assert lines == [f'{output}/comparisons.csv, .md']
  sac, munchausen = read_rows(output / 'comparisons.csv')
  assert (sac['task'], sac['ahead'], sac['behind']) == (HOPPER, 'm_iq', 'sac')
  assert sac['step'] == '20'
  assert float(sac['last: ahead']) == 50.5 and float(sac['last: behind']) == 40
  assert float(sac['last: p']) == pytest.approx(1 / 6)
  # Without the evaluation before training: (100 + 50) / 2 and (100 + 51) / 2.
  assert float(sac['mean over training: ahead']) == 75.25
  assert (munchausen['task'], munchausen['behind']) == (CHEETAH, 'iq')
  assert munchausen['last: p'] == 'nan'
  page = (output / 'comparisons.md').read_text()
  assert '| m_iq (2) | sac (2) | 50.5 ± 0.7 : 40.0 ± 0.0 | 0.17 |' in page
  assert '.png' not in page


def test_sweeps_are_spread_at_the_step_that_all_of_a_task_have(tmp_path):
  root, output = tmp_path / 'runs', tmp_path / 'out'
  # iq is both sweeps' middle: temperature 0.01 and coefficient 0.
  write_run(root, CHEETAH, Variant('iq'), [0, 100, 200, 900])
  write_run(root, CHEETAH, Variant('iq', {'temperature': 0.1}), [0, 10, 20, 30])
  half = Variant('m_iq', {'munchausen_coefficient': 0.5})
  write_run(root, CHEETAH, half, [0, 150, 250])
  # A seed that not all values have, and so does not count.
  write_run(root, CHEETAH, half, [0, 900, 900], seed=1)
  # Two coefficients, but those of IQ and M-IQ, which are no sweep.
  for name in ('iq', 'm_iq'):
    write_run(root, HOPPER, Variant(name), [0, 1])
  lines = comparisons.write_all(str(root), str(output), names=['sweeps'])
  assert lines == [f'{output}/sweeps.csv, .md']
  page = (output / 'sweeps.md').read_text()
  assert (
    '| temperature | 20 | 0 | 0.01: 200, 0.1: 20 | 180 | 0.01: 150, 0.1: 15 | 135 |'
    in page
  )
  assert '| 20 | 0 | 0: 200, 0.5: 250 | 50 | 0: 150, 0.5: 200 | 50 |' in page
  rows = read_rows(output / 'sweeps.csv')
  assert {(row['task'], row['step']) for row in rows} == {(CHEETAH, '20')}


def test_a_budget_and_a_task_can_be_chosen(tmp_path):
  for task in (CHEETAH, HOPPER):
    write_run(tmp_path, task, Variant('m_iq'), [0, 1, 2])
    write_run(tmp_path, task, Variant('iq'), [0, 3])
  output = str(tmp_path / 'out')
  lines = comparisons.write_all(
    str(tmp_path), output, names=['comparisons'], tasks=['Hopper-v4']
  )
  assert [row['task'] for row in read_rows(f'{output}/comparisons.csv')] == [HOPPER]
  lines = comparisons.write_all(
    str(tmp_path), output, last_step=20, algorithm_names=['m_iq']
  )
  assert lines == [
    'not written: comparisons: no task with two algorithms that a claim names',
    'not written: sweeps: no task with two values of a field',
  ]


def test_many_seeds_take_no_longer_than_few_and_the_same_numbers_come_again():
  random = np.random.default_rng(0)
  ahead, behind = random.normal(0.5, 1.0, 20), random.normal(0.0, 1.0, 20)
  found = comparisons.permutation_p_value(ahead, behind)
  assert found == comparisons.permutation_p_value(ahead, behind)
  # Of 20,000 draws; Student's t is near it for normal numbers.
  expected = scipy.stats.ttest_ind(ahead, behind, alternative='greater').pvalue
  assert found == pytest.approx(expected, abs=0.01)


def test_sweep_that_shares_no_step_of_training_has_no_spread(tmp_path):
  write_run(tmp_path, CHEETAH, Variant('iq'), [0, 100])
  write_run(tmp_path, CHEETAH, Variant('iq', {'temperature': 0.1}), [50])
  (line,) = comparisons.write_all(
    str(tmp_path), str(tmp_path / 'out'), names=['sweeps']
  )
  assert line.startswith('not written: sweeps')
