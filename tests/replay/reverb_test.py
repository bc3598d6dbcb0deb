"""Replay through Reverb: what goes in, what comes out, and who waits for whom."""

import contextlib
import threading
import time

import cloudpickle
import numpy as np
import pytest
import reverb
import scipy.stats
from log_lines import LogLines
from tiny_environments import (
  REPLAYS,
  NumberedEnvironment,
  OneBuffer,
  spec_of,
  tiny_config,
)

from iq_acme.agent.builder import IQBuilder
from iq_acme.replay import shared_ring


class OpenReplay:
  """A replay server, an adder that writes to it and the batches that come out."""

  def __init__(self, config, environment=None, travelled=False, **builder_options):
    self.environment = environment or NumberedEnvironment()
    spec = spec_of(self.environment)
    self.builder = IQBuilder(config, spec, **builder_options)
    if travelled:
      self.builder = cloudpickle.loads(cloudpickle.dumps(self.builder))
    self.server = reverb.Server(self.builder.make_replay_tables(spec))
    self.client = reverb.Client(f'localhost:{self.server.port}')
    self.adder = self.builder.make_adder(self.client)
    self.iterator = self.builder.make_dataset_iterator(self.client)
    self._timestep = None
    self._rng = np.random.default_rng(0)

  def write(self, num_steps):
    """Steps the environment by random actions, and adds every step."""
    for _ in range(num_steps):
      if self._timestep is None or self._timestep.last():
        self._timestep = self.environment.reset()
        self.adder.add_first(self._timestep)
      action = self._rng.uniform(-1, 3, 1).astype(np.float32)
      self._timestep = self.environment.step(action)
      self.adder.add(action, self._timestep)

  def sample(self, num_batches):
    """All transitions of some batches, as tuples of five numpy arrays."""
    transitions = []
    for _ in range(num_batches):
      batch = self.builder.replay.packing.unpack_in_update(next(self.iterator).data)
      columns = [np.asarray(column) for column in batch[:5]]
      transitions += list(zip(*columns))
    return transitions


@pytest.fixture
def open_replay():
  with contextlib.ExitStack() as stack:

    def open_one(config, environment=None, **options):
      replay = OpenReplay(config, environment, **({'single_threaded': True} | options))
      stack.callback(replay.builder.replay.stop, replay.server)
      return replay

    yield open_one


def numbers_of(transitions):
  """The numbers of the steps that transitions start with."""
  return {int(transition[0][1]) for transition in transitions}


@pytest.mark.parametrize('kind', REPLAYS)
def test_batches_hold_what_was_added_bit_for_bit(open_replay, kind):
  environment = NumberedEnvironment(reward_fn=lambda n: n / 3 - 1)
  replay = open_replay(tiny_config(replay=kind, batch_size=20), environment)
  replay.write(30)
  sampled = replay.sample(30)
  # Each is missed by one uniform draw of 600 in 10^8.
  assert numbers_of(sampled) >= set(range(20))
  for transition in sampled:
    expected = replay.environment.transitions[int(transition[0][1])]
    for ours, theirs in zip(transition, expected):
      assert ours.dtype == np.float32
      np.testing.assert_array_equal(ours, theirs)


class OneBufferEnvironment(OneBuffer, NumberedEnvironment):
  """As simulators do."""


@pytest.mark.parametrize('kind', REPLAYS)
def test_observations_outlive_the_buffer_they_came_in(open_replay, kind):
  replay = open_replay(tiny_config(replay=kind, batch_size=20), OneBufferEnvironment())
  replay.write(30)
  for observation, *_, next_observation in replay.sample(5):
    expected = replay.environment.transitions[int(observation[1])]
    np.testing.assert_array_equal(observation, expected[0])
    np.testing.assert_array_equal(next_observation, expected[-1])


@pytest.mark.parametrize('kind', REPLAYS)
@pytest.mark.parametrize('terminates', [True, False])
def test_n_step_transitions_by_hand(open_replay, kind, terminates):
  config = tiny_config(
    replay=kind, n_step=3, discount=0.9, batch_size=6, min_replay_size=6
  )
  environment = NumberedEnvironment(
    episode_lengths=(4,),
    terminates=(terminates,),
    reward_fn=lambda n: [1.0, 10.0, 100.0, 1000.0][n],
  )
  replay = open_replay(config, environment)
  replay.write(4)
  # From step, to step: return, discount without the last gamma.
  end = 0.0 if terminates else 1.0
  expected = {
    (0, 1): (1.0, 1.0),
    (0, 2): (1 + 0.9 * 10, 0.9),
    (0, 3): (1 + 0.9 * 10 + 0.81 * 100, 0.81),
    (1, 4): (10 + 0.9 * 100 + 0.81 * 1000, 0.81 * end),
    (2, 4): (100 + 0.9 * 1000, 0.9 * end),
    (3, 4): (1000.0, end),
  }
  actions = [transition[1] for transition in replay.environment.transitions]
  found = set()
  for observation, action, reward, discount, next_observation in replay.sample(30):
    key = int(observation[1]), int(next_observation[1])
    found.add(key)
    np.testing.assert_allclose((reward, discount), expected[key], rtol=1e-6)
    np.testing.assert_array_equal(action, actions[key[0]])
  assert found == set(expected)


@pytest.mark.parametrize('kind', REPLAYS)
def test_the_oldest_transitions_leave_first(open_replay, kind):
  config = tiny_config(replay=kind, max_replay_size=24)
  replay = open_replay(config)
  replay.write(72)
  replay.adder.flush()
  # Each of 24 is missed by one uniform draw of 800 in 10^14.
  assert numbers_of(replay.sample(100)) == set(range(48, 72))


@pytest.mark.parametrize('kind', REPLAYS)
def test_batches_are_uniform_over_what_is_in_replay(open_replay, kind):
  replay = open_replay(tiny_config(replay=kind, min_replay_size=32))
  replay.write(32)
  numbers = [int(transition[0][1]) for transition in replay.sample(400)]
  counts = np.bincount(numbers, minlength=32)
  # Reverb's sampler takes no seed: a correct one fails once in a million runs.
  assert scipy.stats.chisquare(counts).pvalue > 1e-6


def test_what_was_added_has_arrived_after_a_flush(open_replay):
  replay = open_replay(tiny_config(replay='table'))
  for _ in range(5):
    replay.write(20)
    replay.adder.flush()
    (info,) = replay.client.server_info().values()
    assert info.current_size == replay.environment.num_steps


@pytest.mark.parametrize('kind', REPLAYS)
def test_no_batch_before_the_smallest_replay(open_replay, kind):
  # A ring that its own thread fills knows how many transitions to wait for.
  replay = open_replay(tiny_config(replay=kind), single_threaded=kind == 'table')
  replay.write(19)
  batch = []
  thread = threading.Thread(target=lambda: batch.extend(replay.sample(1)), daemon=True)
  thread.start()
  thread.join(0.5)
  assert not batch
  replay.write(1)
  thread.join(60)
  assert len(batch) == 8


def test_a_restored_ring_is_sampled_at_once_by_a_learner_with_remote_actors(
  open_replay, tmp_path
):
  config = tiny_config(samples_per_insert_tolerance_rate=1e-6)
  first = open_replay(config)
  first.write(30)
  first.builder.replay.save(str(tmp_path / 'ring'))
  second = open_replay(config, single_threaded=False)
  assert second.builder.replay.restore(str(tmp_path / 'ring'))
  assert second.builder.replay.size == 30
  batch = []
  thread = threading.Thread(target=lambda: batch.extend(second.sample(1)), daemon=True)
  thread.start()
  thread.join(60)
  assert numbers_of(batch) <= set(range(30))
  assert len(batch) == 8


@pytest.mark.parametrize('kind', REPLAYS)
@pytest.mark.parametrize('single_threaded', [True, False])
def test_a_builder_from_another_process_makes_a_replay_that_serves(
  open_replay, kind, single_threaded
):
  replay = open_replay(
    tiny_config(replay=kind), travelled=True, single_threaded=single_threaded
  )
  replay.write(20)
  assert len(replay.sample(1)) == 8


@pytest.mark.parametrize('samples_per_insert', [0.5, 8.0, 300.0])
def test_the_ratio_limiter_never_lets_both_sides_wait(open_replay, samples_per_insert):
  config = tiny_config(
    replay='table',
    samples_per_insert=samples_per_insert,
    samples_per_insert_tolerance_rate=1e-6,
  )
  replay = open_replay(config, single_threaded=False)
  ((_, info),) = replay.client.server_info().items()
  limiter = info.rate_limiter_info
  assert limiter.samples_per_insert == samples_per_insert
  assert limiter.min_size_to_sample == 20
  window = limiter.max_diff - limiter.min_diff
  assert window >= 2 * max(1.0, samples_per_insert)
  # The samplers hold back part of a batch each before the learner gets a whole one.
  assert window / 2 >= 2 * config.batch_size


def test_the_ratio_limiter_is_as_wide_as_the_config_says(open_replay):
  config = tiny_config(
    replay='table', samples_per_insert=4.0, samples_per_insert_tolerance_rate=0.5
  )
  replay = open_replay(config, single_threaded=False)
  ((_, info),) = replay.client.server_info().items()
  limiter = info.rate_limiter_info
  # (0.5 * 20 inserts) * 4 samples to each side of 20 inserts * 4 samples.
  assert (limiter.min_diff, limiter.max_diff) == (40.0, 120.0)


def test_one_thread_is_never_held_back_by_a_limiter(open_replay):
  replay = open_replay(
    tiny_config(replay='table', samples_per_insert_tolerance_rate=1e-6)
  )
  replay.write(200)
  assert len(replay.sample(100)) == 800


def test_a_second_actor_in_one_thread_is_refused(open_replay):
  replay = open_replay(tiny_config(replay='resident'))
  with pytest.raises(RuntimeError, match='single_threaded=True there is one actor'):
    replay.builder.make_adder(replay.client)


@pytest.mark.parametrize('single_threaded', [True, False])
def test_a_ring_shows_what_it_holds_oldest_first(open_replay, single_threaded):
  config = tiny_config(max_replay_size=24)
  replay = open_replay(config, single_threaded=single_threaded)
  replay.write(29)
  replay.adder.flush()
  if not single_threaded:  # Without samples its limiter would stop at 22.
    replay.builder.replay.stop_limiting_inserts()
    while replay.builder.replay.totals()[0] < 29:
      time.sleep(0.01)
  held = replay.builder.replay.transitions()
  expected = zip(*replay.environment.transitions[5:])
  for ours, theirs in zip(held, expected, strict=True):
    np.testing.assert_array_equal(ours, np.stack(theirs))


def test_looking_at_a_ring_waits_for_what_is_on_its_way(open_replay):
  replay = open_replay(tiny_config())
  replay.write(13)  # One group of eight has been sent, and five are held.
  assert replay.builder.replay.num_in_flight == replay.builder.replay.size == 13
  assert len(replay.builder.replay.transitions().reward) == 13
  assert replay.builder.replay.num_in_flight == 0


@pytest.mark.parametrize('kind', REPLAYS)
def test_the_log_says_what_a_learner_waits_for(open_replay, kind, monkeypatch):
  log = LogLines(monkeypatch)
  monkeypatch.setattr(shared_ring, 'PATIENCE_SECONDS', 0.05)
  replay = open_replay(
    tiny_config(replay=kind, samples_per_insert_tolerance_rate=0.5),
    single_threaded=False,
  )
  replay.write(3)
  thread = threading.Thread(target=lambda: replay.sample(1), daemon=True)
  thread.start()
  assert log.arrived.wait(60)
  replay.write(25)
  thread.join(60)
  assert not thread.is_alive()
  (line, *_) = log.lines
  assert 'waited for replay' in line
  assert 'of the 20' in line
  assert 'inserted' in line
  assert '0 sampled' in line
  assert '80' in line  # Half of 20 transitions, 8 samples each.
