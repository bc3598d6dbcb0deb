"""The ring that two sides share: its file, and its travels."""

import pickle
import threading
import tracemalloc

import numpy as np
import pytest
from full_disk import full_disk
from tiny_environments import NumberedEnvironment, spec_of, tiny_config

from iq_acme.replay.shared_ring import RateLimiter, SharedRing
from iq_acme.storage import files
from iq_acme.transitions import TransitionPacking

PACKING = TransitionPacking(spec_of(NumberedEnvironment()))


def shared_ring(**settings):
  return SharedRing(tiny_config(**settings), PACKING, seed=0)


def numbered_rows(num_rows):
  rows = np.arange(num_rows * PACKING.width, dtype=np.float32)
  return rows.reshape(num_rows, PACKING.width)


def test_a_full_disk_is_told_by_its_number(tmp_path):
  ring = shared_ring(min_replay_size=3000, max_replay_size=3000)
  ring.insert(numbered_rows(3000))
  with full_disk(10_000), pytest.raises(OSError) as error:
    ring.save(str(tmp_path / 'ring'))
  assert error.value.errno in files.STORAGE_ERRORS


def test_a_restored_ring_goes_on_as_the_saved_one_would_have(tmp_path):
  first, second = shared_ring(), shared_ring()
  first.insert(numbered_rows(30))
  first.sample(72)  # Of the 80 that ten inserts beyond the smallest replay pay for.
  first.save(str(tmp_path / 'ring'))
  assert second.restore(str(tmp_path / 'ring'))
  np.testing.assert_array_equal(second.rows(), numbered_rows(30))
  assert (second.limiter.inserted, second.limiter.sampled) == (30, 72)
  np.testing.assert_array_equal(second.sample(8), first.sample(8))


def test_an_empty_ring_is_saved_and_restored(tmp_path):
  first, second = shared_ring(), shared_ring()
  first.save(str(tmp_path / 'ring'))
  assert second.restore(str(tmp_path / 'ring'))
  assert second.ring.size == 0


def test_there_is_nothing_to_restore_from_a_folder_without_a_ring(tmp_path):
  assert not shared_ring().restore(str(tmp_path))


def test_a_ring_of_other_transitions_is_refused(tmp_path):
  shared_ring().save(str(tmp_path / 'ring'))
  wider = TransitionPacking(spec_of(NumberedEnvironment(action_dim=2)))
  other = SharedRing(tiny_config(), wider, seed=0)
  with pytest.raises(ValueError, match='of 7 float32 numbers; this environment has 8'):
    other.restore(str(tmp_path / 'ring'))


def test_a_ring_is_restored_without_holding_its_file_in_memory_as_well(tmp_path):
  first, second = (shared_ring(max_replay_size=50_000) for _ in range(2))
  rows = numbered_rows(40_000)
  first.insert(rows)
  first.save(str(tmp_path / 'ring'))
  _ = second.ring  # Whose memory is not counted.
  tracemalloc.start()
  assert second.restore(str(tmp_path / 'ring'))
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  np.testing.assert_array_equal(second.rows(), rows)
  assert peak < rows.nbytes / 10


def test_a_ring_that_travelled_still_wakes_who_waits():
  shared = pickle.loads(pickle.dumps(shared_ring()))
  waiting = threading.Event()

  def wait():
    with shared.changed:
      waiting.set()
      # Without a limit, at which it would look once more and find what it waits for.
      shared.changed.wait_for(lambda: shared.ring.size == 3)

  thread = threading.Thread(target=wait, daemon=True)
  thread.start()
  assert waiting.wait(60)
  shared.insert(numbered_rows(3))
  thread.join(60)
  assert not thread.is_alive()


@pytest.fixture
def limiter():
  # 20 inserts before the first sample; then 4 samples an insert, and either side may
  # lead by max(0.1 * 20 * 4, 2 * 4, 2 * 8) = 16 samples.
  return RateLimiter(tiny_config(samples_per_insert=4.0))


def test_inserts_and_samples_wait_for_one_another_at_the_tolerance(limiter):
  assert limiter.can_insert(size=0) and not limiter.can_sample(19, num_samples=8)
  limiter.inserted = 20
  assert limiter.can_sample(20, num_samples=8)
  limiter.sampled = 8
  assert limiter.lead == -8 and limiter.can_sample(20, 8)
  limiter.sampled = 16
  assert not limiter.can_sample(20, 8)
  limiter.inserted = 22  # Two inserts pay for a batch.
  assert limiter.can_sample(22, 8)
  limiter.inserted = 28
  assert limiter.lead == 16 and limiter.can_insert(28)
  limiter.inserted = 29
  assert not limiter.can_insert(29)


def test_ratio_goes_on_after_a_resume_unless_it_was_another_one(limiter):
  limiter.restore({'inserted': 100, 'sampled': 310}, size=60)
  assert (limiter.inserted, limiter.sampled, limiter.lead) == (100, 310, 10)
  limiter.restore({'inserted': 29, 'sampled': 16}, size=29)
  assert (limiter.inserted, limiter.lead) == (29, 20)  # As far as it can be.
  limiter.restore({'inserted': 100, 'sampled': 5000}, size=60)
  assert (limiter.inserted, limiter.sampled) == (20, 0)
  limiter.restore({}, size=15)  # Written before the totals were saved.
  assert (limiter.inserted, limiter.sampled) == (15, 0)
