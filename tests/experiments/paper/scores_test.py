"""Scores against numbers worked out by hand.

Point estimates and intervals were also compared with rliable 1.2.0 on random scores of
several shapes: equal but for rounding, and for the draws of 20,000 resamples.
"""

import numpy as np
import pytest

from experiments.paper import scores


def test_score_is_zero_at_random_and_hundred_at_the_baseline():
  returns = np.array([-300.0, 700.0, 1700.0, -800.0])
  normalized = scores.normalize(returns, random_return=-300.0, baseline_return=1700.0)
  np.testing.assert_allclose(normalized, [0.0, 50.0, 100.0, -25.0])


@pytest.mark.parametrize('baseline', [5.0, 4.0, float('nan')])
def test_baseline_no_better_than_random_gives_no_scale(baseline):
  with pytest.raises(ValueError, match='baseline'):
    scores.normalize(np.array([1.0]), 5.0, baseline)


def test_mean_and_median_are_over_tasks_of_means_over_runs():
  # Means over runs: 2, 30, 100.
  values = np.array([[1.0, 20.0, 100.0], [3.0, 40.0, 100.0]])
  assert scores.mean(values) == pytest.approx(44.0)
  # The median of all six would be 30 too, were it not for the next line.
  assert scores.median(values) == pytest.approx(30.0)
  assert scores.median(np.array([[0.0, 50.0], [10.0, 70.0]])) == pytest.approx(32.5)


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    ([[1, 8], [2, 7], [3, 6], [4, 5]], 4.5),  # 3, 4, 5, 6 are left.
    ([[0], [1], [2], [3], [100]], 2.0),  # 5 // 4 = 1 at either end.
    ([[5, 9, 40]], 18.0),  # 3 // 4 = 0: nothing is left out.
  ],
)
def test_interquartile_mean_leaves_out_a_quarter_at_either_end(values, expected):
  assert scores.interquartile_mean(np.array(values, float)) == pytest.approx(expected)


def test_aggregates_take_many_resamples_at_once():
  values = np.random.default_rng(0).normal(size=(3, 5, 4))
  for aggregate in (scores.mean, scores.median, scores.interquartile_mean):
    np.testing.assert_allclose(aggregate(values), [aggregate(v) for v in values])


def test_bootstrap_draws_runs_within_tasks():
  # Every draw of runs gives the same scores, unless tasks were drawn as well.
  values = np.array([[0.0, 100.0, 50.0]] * 4)
  assert scores.bootstrap_interval(values, scores.mean) == (50.0, 50.0)


def test_bootstrap_draws_each_task_by_itself():
  # Two runs of two tasks that cancel in every run: drawn together they always would.
  values = np.array([[0.0, 1.0], [1.0, 0.0]])
  low, high = scores.bootstrap_interval(values, scores.mean, confidence=0.99)
  assert (low, high) == (0.0, 1.0)  # Each has probability 1/16.


def test_bootstrap_interval_of_two_runs_by_hand():
  # The mean of two draws of {0, 1} is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
  values = np.array([[0.0], [1.0]])
  assert scores.bootstrap_interval(values, scores.mean, confidence=0.95) == (0, 1)
  assert scores.bootstrap_interval(values, scores.mean, confidence=0.4) == (0.5, 0.5)


def test_one_run_has_no_interval():
  values = np.array([[1.0, 2.0, 6.0]])
  assert np.isnan(scores.bootstrap_interval(values, scores.median)).all()


def test_std_over_seeds_is_of_a_sample_of_task_means():
  # Task means: 1 and 3.
  assert scores.seed_std([[0, 2], [2, 4]]) == pytest.approx(np.sqrt(2.0))
  assert scores.seed_std([[0, 2]]) == 0.0


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    (np.zeros(3), r'shape \(3,\)'),
    (np.zeros((2, 0)), r'shape \(2, 0\)'),
    (np.zeros((1, 2, 3)), r'shape \(1, 2, 3\)'),
    (np.array([[0.0, 1.0], [2.0, np.nan]]), 'run 1 on task 1 is nan'),
  ],
)
def test_scores_of_another_shape_are_refused(values, message):
  with pytest.raises(ValueError, match=message):
    scores.bootstrap_interval(values, scores.mean)


def test_tasks_are_stacked_as_columns():
  stacked = scores.stack_tasks({'a': np.array([1.0, 2.0]), 'b': np.array([3.0, 4.0])})
  np.testing.assert_array_equal(stacked, [[1, 3], [2, 4]])
  # Of 2 runs of 3 tasks at 4 steps.
  at_steps = scores.stack_tasks({name: np.zeros((2, 4)) for name in 'abc'})
  assert at_steps.shape == (2, 3, 4)


def test_tasks_with_different_numbers_of_runs_are_refused_by_name():
  with pytest.raises(ValueError, match='a 2, b 3'):
    scores.stack_tasks({'a': np.zeros(2), 'b': np.zeros(3)})
  with pytest.raises(ValueError, match='no tasks'):
    scores.stack_tasks({})


def test_confidence_out_of_range_is_refused():
  with pytest.raises(ValueError, match='confidence is 95'):
    scores.bootstrap_interval(np.zeros((2, 2)), scores.mean, confidence=95)
