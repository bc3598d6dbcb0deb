"""Rings, in the host's memory and in the device's: order, uniformity, restore."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from iq_acme.replay.ring import DeviceRing, HostRing, make_ring

RINGS = [HostRing, DeviceRing]


def rows_of(numbers):
  """Rows [N, 3] that tell their number."""
  numbers = np.asarray(numbers, np.float32)
  return np.stack([numbers, -numbers, numbers + 0.5], axis=1)


def contents(ring):
  return np.concatenate(ring.segments())


@pytest.mark.parametrize('ring_class', RINGS)
@pytest.mark.parametrize('chunk', [1, 3, 8, 19, 50])
def test_the_newest_rows_stay_oldest_first_wherever_a_chunk_wraps(ring_class, chunk):
  ring = ring_class(19, 3, np.dtype(np.float32), seed=0)
  for start in range(0, 100, chunk):
    end = min(start + chunk, 100)
    ring.append(rows_of(range(start, end)))
    kept = range(max(0, end - 19), end)
    assert ring.size == len(kept)
    np.testing.assert_array_equal(contents(ring), rows_of(kept))


@pytest.mark.parametrize('ring_class', RINGS)
@pytest.mark.parametrize('num_rows', [12, 100])
def test_samples_are_uniform_over_what_is_there(ring_class, num_rows):
  capacity = 30
  ring = ring_class(capacity, 3, np.dtype(np.float32), seed=1)
  ring.append(rows_of(range(num_rows)))
  first, kept = max(0, num_rows - capacity), min(num_rows, capacity)
  sampled = np.concatenate([np.asarray(ring.sample(256)) for _ in range(40)])
  numbers = sampled[:, 0].astype(int)
  np.testing.assert_array_equal(sampled, rows_of(numbers))
  counts = np.bincount(numbers - first, minlength=kept)
  assert len(counts) == kept
  # Seeded, so this passes always or never: a correct sampler fails one seed in 1,000.
  assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize('ring_class', RINGS)
@pytest.mark.parametrize('num_rows', [12, 47])
def test_a_restored_ring_goes_on_with_the_same_rows_and_samples(ring_class, num_rows):
  ring = ring_class(30, 3, np.dtype(np.float32), seed=2)
  ring.append(rows_of(range(num_rows)))
  ring.sample(5)
  other = ring_class(30, 3, np.dtype(np.float32), seed=3)
  other.append(rows_of(range(900, 917)))
  other.restore(contents(ring), ring.random_state())
  for step in range(4):
    np.testing.assert_array_equal(contents(other), contents(ring))
    np.testing.assert_array_equal(other.sample(64), ring.sample(64))
    for each in (ring, other):
      each.append(rows_of([1000 + step]))


@pytest.mark.parametrize(('saved', 'restored'), [RINGS, RINGS[::-1]])
def test_a_ring_moves_between_host_and_device_and_samples_from_its_own_seed(
  saved, restored
):
  ring = saved(30, 3, np.dtype(np.float32), seed=2)
  ring.append(rows_of(range(47)))
  rows, state = contents(ring), ring.random_state()
  moved = restored(30, 3, np.dtype(np.float32), seed=3)
  moved.append(rows_of([5]))
  moved.sample(7)
  moved.restore(rows, state)
  fresh = restored(30, 3, np.dtype(np.float32), seed=3)
  fresh.append(rows)
  np.testing.assert_array_equal(contents(moved), rows)
  np.testing.assert_array_equal(moved.sample(64), fresh.sample(64))


@pytest.mark.parametrize('ring_class', RINGS)
def test_a_smaller_ring_restores_the_newest_rows(ring_class):
  ring = ring_class(30, 3, np.dtype(np.float32), seed=2)
  ring.append(rows_of(range(47)))
  smaller = ring_class(10, 3, np.dtype(np.float32), seed=2)
  smaller.restore(contents(ring), ring.random_state())
  np.testing.assert_array_equal(contents(smaller), rows_of(range(37, 47)))
  smaller.append(rows_of([47, 48]))
  np.testing.assert_array_equal(contents(smaller), rows_of(range(39, 49)))


def split(key, num=2):
  """The keys that a key is split into, as tuples of two numbers."""
  return [tuple(map(int, part)) for part in jax.random.split(jnp.uint32(key), num)]


def test_a_ring_on_the_device_draws_from_other_keys_than_an_agent_of_its_seed():
  # As `LocalAgent` and `init_state` split theirs.
  key = tuple(map(int, jax.random.PRNGKey(0)))
  learner_key, actor_key = split(key)
  agents = {key, learner_key, actor_key, *split(learner_key, 3)}
  for _ in range(3):
    actor_key, action_key = split(actor_key)
    agents |= {actor_key, action_key}
  ring = DeviceRing(30, 3, np.dtype(np.float32), seed=0)
  ring.append(rows_of(range(5)))
  for _ in range(3):
    key = tuple(ring.random_state()['key'])
    assert agents.isdisjoint({key, *split(key)})
    ring.sample(4)


def test_only_the_rows_that_there_are_leave_the_device(monkeypatch):
  ring = DeviceRing(30, 3, np.dtype(np.float32), seed=0)
  ring.append(rows_of(range(12)))
  asarray, moved = np.asarray, []

  def recorded(array, *args, **kwargs):
    if isinstance(array, jax.Array):
      moved.append(array.shape)
    return asarray(array, *args, **kwargs)

  monkeypatch.setattr(np, 'asarray', recorded)
  (rows,) = ring.segments()
  monkeypatch.undo()
  assert moved == [(12, 3)]
  np.testing.assert_array_equal(rows, rows_of(range(12)))


def test_a_restored_ring_is_never_twice_on_the_device(monkeypatch):
  ring = DeviceRing(30, 3, np.dtype(np.float32), seed=0)
  state, old = ring.random_state(), ring._rows
  asarray, deleted = jnp.asarray, []

  def recorded(*args, **kwargs):
    deleted.append(old.is_deleted())
    return asarray(*args, **kwargs)

  monkeypatch.setattr(jnp, 'asarray', recorded)
  ring.restore(rows_of(range(12)), state)
  monkeypatch.undo()
  assert deleted
  assert all(deleted)
  np.testing.assert_array_equal(contents(ring), rows_of(range(12)))


def test_rows_of_bytes_stay_on_the_host(monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert isinstance(make_ring(4, 3, np.dtype(np.uint8), 0), HostRing)
  assert isinstance(make_ring(4, 3, np.dtype(np.float32), 0), DeviceRing)
