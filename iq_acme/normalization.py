"""Running mean and variance of observations, as a pure function of batches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# A leaf that hardly varied so far divides by at least this, and whatever comes out
# is clipped, so that its first real change does not blow up the networks.
_MIN_STD = 1e-6
_MAX_ABS = 10.0


class RunningStatistics(NamedTuple):
  """Statistics of the observations seen so far.

  Attributes:
    count: number of observations, a float scalar.
    mean: per-element mean, with the observation's structure and shapes.
    variance: per-element population variance, likewise.
  """

  count: jax.Array
  mean: Any
  variance: Any


def init_statistics(observation_spec: Any) -> RunningStatistics:
  """Statistics of no observations, which leave an observation as it is, but clipped.

  Args:
    observation_spec: a nest of specs with a `shape`.

  Returns:
    Statistics with mean 0 and variance 1.
  """
  return RunningStatistics(
    count=jnp.zeros(()),
    mean=jax.tree.map(lambda spec: jnp.zeros(spec.shape), observation_spec),
    variance=jax.tree.map(lambda spec: jnp.ones(spec.shape), observation_spec),
  )


def update_statistics(
  statistics: RunningStatistics, observation: Any
) -> RunningStatistics:
  """Merges a batch into the statistics.

  Mean and variance are merged by weight (Chan et al., 1979), not summed, so that
  float32 keeps its precision however many batches there were.

  Args:
    statistics: what was seen before.
    observation: a nest of arrays [B, ...].

  Returns:
    The statistics of everything seen, this batch included.
  """
  batch_size = jax.tree.leaves(observation)[0].shape[0]
  count = statistics.count + batch_size
  weight = batch_size / count

  def merged_mean(mean: jax.Array, x: jax.Array) -> jax.Array:
    return mean + weight * (jnp.mean(x, axis=0) - mean)

  # As a step from the old value, not as (1 - weight) * old + weight * new: late in a
  # run 1 - weight is rounded, and the error of each step would add up to a drift.
  def merged_variance(variance: jax.Array, mean: jax.Array, x: jax.Array) -> jax.Array:
    shift = jnp.mean(x, axis=0) - mean
    between = (1 - weight) * jnp.square(shift)
    return variance + weight * (jnp.var(x, axis=0) - variance + between)

  return RunningStatistics(
    count=count,
    mean=jax.tree.map(merged_mean, statistics.mean, observation),
    variance=jax.tree.map(
      merged_variance, statistics.variance, statistics.mean, observation
    ),
  )


def normalize(observation: Any, statistics: RunningStatistics | None) -> Any:
  """Standardises observations, clipped to 10 standard deviations.

  Args:
    observation: a nest of arrays [..., *shape].
    statistics: None leaves the observation as it is.

  Returns:
    The observation with zero mean and unit variance under the statistics.
  """
  if statistics is None:
    return observation

  def standardise(x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
    std = jnp.maximum(jnp.sqrt(variance), _MIN_STD)
    return jnp.clip((x - mean) / std, -_MAX_ABS, _MAX_ABS)

  return jax.tree.map(standardise, observation, statistics.mean, statistics.variance)
