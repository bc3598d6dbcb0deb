import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from iq_acme import normalization

SPEC = specs.Array((3,), np.float32)


def seen(batches, spec=SPEC):
  statistics = normalization.init_statistics(spec)
  for batch in batches:
    statistics = normalization.update_statistics(statistics, jnp.asarray(batch))
  return statistics


def test_statistics_of_no_observations_leave_an_observation_as_it_is():
  observation = jnp.array([[0.5, -3.0, 9.0]])
  statistics = normalization.init_statistics(SPEC)
  np.testing.assert_array_equal(
    normalization.normalize(observation, statistics), observation
  )
  assert statistics.count == 0


def test_mean_and_variance_of_hand_computed_observations():
  # 1, 3 and then 8: mean 4, population variance (9 + 1 + 16) / 3.
  spec = specs.Array((1,), np.float32)
  statistics = seen([[[1.0], [3.0]], [[8.0]]], spec)
  assert statistics.count == 3
  np.testing.assert_allclose(statistics.mean, [4.0], rtol=1e-6)
  np.testing.assert_allclose(statistics.variance, [26 / 3], rtol=1e-6)
  # (8 - 4) / sqrt(26 / 3)
  np.testing.assert_allclose(
    normalization.normalize(jnp.array([8.0]), statistics), [1.3587324], rtol=1e-5
  )


def test_first_batch_replaces_the_initial_variance():
  statistics = seen([np.full((4, 3), 7.0, np.float32)])
  np.testing.assert_array_equal(statistics.mean, [7.0] * 3)
  np.testing.assert_array_equal(statistics.variance, [0.0] * 3)


def test_batches_of_any_sizes_give_the_statistics_of_all_observations():
  rng = np.random.default_rng(0)
  # The distribution moves, so that within and between batches both matter.
  batches = [
    rng.normal(loc=i * np.array([0.1, -2.0, 10.0]), scale=[0.01, 1, 5], size=(size, 3))
    for i, size in enumerate((1, 7, 32, 2, 64, 1, 256))
  ]
  batches = [batch.astype(np.float32) for batch in batches]
  everything = np.concatenate(batches).astype(np.float64)
  statistics = seen(batches)
  assert statistics.count == len(everything)
  np.testing.assert_allclose(statistics.mean, everything.mean(0), rtol=1e-5)
  np.testing.assert_allclose(statistics.variance, everything.var(0), rtol=1e-4)


def test_small_variance_around_a_large_mean_is_not_lost():
  # Sums of squares in float32 could not tell this variance from 0.
  rng = np.random.default_rng(1)
  spec = specs.Array((1,), np.float32)
  batches = (1_000 + rng.normal(scale=0.1, size=(50, 64, 1))).astype(np.float32)
  statistics = seen(batches, spec)
  np.testing.assert_allclose(
    statistics.variance[0], batches.astype(np.float64).var(), rtol=0.01
  )


@pytest.mark.parametrize(('seen_before', 'variance'), [(1.5e9, 0.11), (2.5e9, 0.11)])
def test_statistics_do_not_drift_late_in_a_run(seen_before, variance):
  # Six million updates in, the same data comes again, 100,000 times.
  std = np.sqrt(variance)
  batch = jnp.asarray([[0.3 + std]] * 128 + [[0.3 - std]] * 128, jnp.float32)
  statistics = normalization.RunningStatistics(
    jnp.float32(seen_before), jnp.float32([0.3]), jnp.float32([variance])
  )

  @jax.jit
  def go_on(statistics):
    def body(statistics, _):
      return normalization.update_statistics(statistics, batch), None

    return jax.lax.scan(body, statistics, None, length=100_000)[0]

  after = go_on(statistics)
  np.testing.assert_allclose(after.mean, [0.3], rtol=1e-5)
  np.testing.assert_allclose(after.variance, [variance], rtol=1e-4)


def test_nested_observations_keep_their_structure():
  spec = {
    'position': specs.Array((2,), np.float32),
    'height': specs.Array((), np.float32),
  }
  batch = {
    'position': jnp.array([[0.0, 1.0], [2.0, 5.0]]),
    'height': jnp.array([1.0, 3.0]),
  }
  statistics = normalization.update_statistics(
    normalization.init_statistics(spec), batch
  )
  assert statistics.count == 2
  np.testing.assert_allclose(statistics.mean['position'], [1.0, 3.0])
  np.testing.assert_allclose(statistics.variance['position'], [1.0, 4.0])
  np.testing.assert_allclose(statistics.mean['height'], 2.0)
  normalized = normalization.normalize(batch, statistics)
  np.testing.assert_allclose(normalized['position'], [[-1, -1], [1, 1]], rtol=1e-5)
  np.testing.assert_allclose(normalized['height'], [-1, 1], rtol=1e-5)


def test_none_leaves_observations_as_they_are():
  observation = {'x': jnp.array([1e9, np.nan])}
  assert normalization.normalize(observation, None) is observation


@pytest.mark.parametrize(('value', 'expected'), [(5.001, 10.0), (4.999, -10.0)])
def test_first_change_of_a_constant_element_is_clipped(value, expected):
  spec = specs.Array((1,), np.float32)
  statistics = seen([np.full((256, 1), 5.0, np.float32)], spec)
  normalized = normalization.normalize(jnp.array([[5.0], [value]]), statistics)
  np.testing.assert_array_equal(normalized, [[0.0], [expected]])


def test_nan_observation_shows_in_the_statistics():
  statistics = seen([[[1.0, np.nan, 2.0]]])
  assert np.isnan(statistics.mean[1])
  assert np.isfinite(statistics.mean[0])
