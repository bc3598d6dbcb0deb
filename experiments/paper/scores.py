"""Baseline-normalised scores, and how they are aggregated over tasks and runs.

Scores are arrays [runs, tasks]. The interquartile mean and its stratified bootstrap
intervals are those of "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (https://arxiv.org/abs/2108.13264), as in its library, rliable.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from iq_acme.training.evaluations import std_over_seeds

Aggregate = Callable[[np.ndarray], np.ndarray]  # [..., runs, tasks] -> [...]


def normalize(
  returns: np.ndarray, random_return: float, baseline_return: float
) -> np.ndarray:
  """Returns of one task as scores: 0 is a random policy, 100 the baseline.

  The paper's baseline-normalised score (Section 6, "Environments and metrics"), whose
  baseline is the best SAC at the end of the budget.

  Args:
    returns: any shape.
    random_return: mean return of uniformly random actions.
    baseline_return: mean return of the baseline.

  Returns:
    Scores in percent, of the same shape.

  Raises:
    ValueError: if the baseline is no better than random, so that there is no scale.
  """
  if not baseline_return > random_return:
    raise ValueError(
      f'The baseline returns {baseline_return:g}, a random policy {random_return:g}; '
      'scores need a baseline above it.'
    )
  returns = np.asarray(returns, float)
  return 100.0 * (returns - random_return) / (baseline_return - random_return)


def check_scores(scores: np.ndarray) -> np.ndarray:
  """Returns scores as floats [runs, tasks].

  Raises:
    ValueError: for another shape, no runs or tasks, or a score that is not finite.
  """
  scores = np.asarray(scores, float)
  if scores.ndim != 2 or 0 in scores.shape:
    raise ValueError(
      f'Scores have shape {scores.shape}; they must be [runs, tasks] with at least one '
      'of each, as many runs of every task.'
    )
  if not np.isfinite(scores).all():
    run, task = np.argwhere(~np.isfinite(scores))[0]
    raise ValueError(f'The score of run {run} on task {task} is {scores[run, task]}.')
  return scores


def mean(scores: np.ndarray) -> np.ndarray:
  """Averages over tasks the mean over runs; [..., runs, tasks] -> [...]."""
  return scores.mean(axis=(-2, -1))


def median(scores: np.ndarray) -> np.ndarray:
  """Takes the median over tasks of the mean over runs; [..., runs, tasks] -> [...]."""
  return np.median(scores.mean(axis=-2), axis=-1)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
  """Averages the middle half of all runs of all tasks; [..., runs, tasks] -> [...].

  A quarter of the scores, rounded down, is left out at either end.
  """
  return stats.trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1)


def seed_std(scores: np.ndarray) -> float:
  """Returns the std over runs of the mean over tasks, of a sample; 0 for one run."""
  return float(std_over_seeds(check_scores(scores).mean(axis=1)))


def bootstrap_interval(
  scores: np.ndarray,
  aggregate: Aggregate,
  *,
  confidence: float = 0.95,
  resamples: int = 2_000,
  seed: int = 0,
) -> tuple[float, float]:
  """Estimates the percentile interval of an aggregate, by a stratified bootstrap.

  Each resample draws, for every task by itself, as many runs as there are, with
  replacement; tasks are kept.

  Args:
    scores: [runs, tasks].
    aggregate: `mean`, `median` or `interquartile_mean`.
    confidence: the interval's, in (0, 1).
    resamples: how many.
    seed: of the draws.

  Returns:
    Its lower and upper end, NaN for one run, which has no interval.

  Raises:
    ValueError: for scores of another shape or a confidence out of range.
  """
  scores = check_scores(scores)
  if not 0 < confidence < 1:
    raise ValueError(f'confidence is {confidence}; it must be in (0, 1).')
  if len(scores) == 1:
    return float('nan'), float('nan')
  result = stats.bootstrap(
    tuple(scores.T),  # A sample for each task, drawn by itself.
    lambda *tasks, axis: aggregate(np.stack(tasks, axis=-1)),  # Each [resamples, runs].
    n_resamples=resamples,
    vectorized=True,
    confidence_level=confidence,
    method='percentile',
    random_state=np.random.default_rng(seed),
  )
  low, high = result.confidence_interval
  return float(low), float(high)
