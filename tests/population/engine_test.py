"""A population: replay, SGD steps and metrics of each member, whoever is beside it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mixed_members import CONFIGS, SPEC

from iq_acme.population import engine, iq
from iq_acme.population.algorithm import Algorithm
from iq_acme.transitions import TransitionPacking

pytestmark = pytest.mark.core


def make_population(configs, seeds, capacity=32):
  return engine.Population(
    iq.make(configs, SPEC),
    [iq.numbers_of(config) for config in configs],
    seeds,
    TransitionPacking(SPEC),
    capacity=capacity,
    batch_size=8,
  )


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
  """Two populations of `CONFIGS`, and where their initial state is saved."""
  folder = str(tmp_path_factory.mktemp('initial'))
  pair = [make_population(CONFIGS, range(4)) for _ in range(2)]
  pair[0].save(folder)
  return pair, folder


@pytest.fixture
def two(compiled):
  """Two populations that are alike and new."""
  pair, folder = compiled
  for population in pair:
    population.restore(folder)
  return pair


def rows(step, num_members, num_rows=1):
  """Returns rows that all members share, of which the first number is the step."""
  width = TransitionPacking(SPEC).width
  row = np.random.default_rng(step).uniform(-1, 1, (num_rows, width))
  row[:, 0] = step
  return np.broadcast_to(row, (num_members, num_rows, width)).astype(np.float32)


def train(population, first, last, updates=1):
  num = len(population)
  for step in range(first, last):
    population.learn(rows(step, num), np.ones(num, int), updates if step >= 8 else 0)


def leaves(population, index):
  return [np.asarray(x) for x in jax.tree.leaves(population.member(index))]


def assert_close(mine, theirs):
  for x, y in zip(mine, theirs, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_a_member_is_the_same_at_any_size_and_place(two):
  four = two[0]
  two = make_population([CONFIGS[2], CONFIGS[0]], [2, 0])
  for population in (four, two):
    train(population, 0, 30)
  assert_close(leaves(four, 2), leaves(two, 0))
  assert_close(leaves(four, 0), leaves(two, 1))
  observations = np.ones((4, 3), np.float32)
  for exploring in (True, False):
    mine = four.act(3, observations, exploring)
    theirs = two.act(3, observations[:2], exploring)
    np.testing.assert_array_equal(mine[[2, 0]], theirs)
  assert len(np.unique(four.act(3, observations, True), axis=0)) > 1


@pytest.mark.parametrize('num_steps', [20, 50], ids=['filling', 'full'])
def test_a_restored_population_goes_on_bit_for_bit(two, num_steps, tmp_path):
  whole, restored = two
  train(whole, 0, num_steps)
  whole.save(str(tmp_path))
  train(whole, num_steps, num_steps + 10)
  restored.restore(str(tmp_path))
  train(restored, num_steps, num_steps + 10)
  for i in range(4):
    for x, y in zip(leaves(whole, i), leaves(restored, i), strict=True):
      np.testing.assert_array_equal(x, y)
  theirs = restored.read_metrics()
  for name, values in whole.read_metrics().items():
    np.testing.assert_array_equal(values, theirs[name])


def test_a_restored_population_of_larger_replay_draws_the_same(two, tmp_path):
  large, small = two[0], make_population(CONFIGS, range(4), 20)
  train(small, 0, 20)
  small.save(str(tmp_path))
  large.restore(str(tmp_path))
  for population in (small, large):
    population.learn(rows(0, 4), np.zeros(4, int), 1)
  for x, y in zip(leaves(small, 3), leaves(large, 3), strict=True):
    np.testing.assert_array_equal(x, y)


def test_members_of_another_kind_are_refused(two, tmp_path):
  two[0].save(str(tmp_path))
  with pytest.raises(ValueError, match='does not fit this configuration'):
    make_population(CONFIGS[:2], range(2)).restore(str(tmp_path))


def test_a_member_that_is_not_finite_keeps_its_last_finite_state_alone(two):
  sick, well = two
  for population in (sick, well):
    train(population, 0, 20)
  healthy = np.array(rows(20, 4))
  spoiled = healthy.copy()
  spoiled[1] = np.nan
  for _ in range(32):  # Until nothing else is in the ring of member 1.
    well.learn(healthy, np.ones(4, int), 1)
    sick.learn(spoiled, np.ones(4, int), 1)
  np.testing.assert_array_equal(sick.alive(), [True, False, True, True])
  assert well.alive().all()
  for x in leaves(sick, 1):
    assert np.isfinite(x).all()
  taken = sick.sgd_steps()
  assert 12 <= taken[1] < taken[0] == 44
  for i in (0, 2, 3):
    for x, y in zip(leaves(sick, i), leaves(well, i), strict=True):
      np.testing.assert_array_equal(x, y)


def test_a_stopped_member_stays_and_the_others_go_on(two):
  stopped, whole = two
  for population in (stopped, whole):
    train(population, 0, 20)
  before = leaves(stopped, 2)
  stopped.stop(2)
  for population in (stopped, whole):
    train(population, 20, 30)
  for x, y in zip(before, leaves(stopped, 2), strict=True):
    np.testing.assert_array_equal(x, y)
  for x, y in zip(leaves(stopped, 3), leaves(whole, 3), strict=True):
    np.testing.assert_array_equal(x, y)


def test_several_steps_in_one_call_are_those_of_several_calls(two):
  together, apart = two
  train(together, 0, 20, updates=3)
  for step in range(20):
    apart.learn(rows(step, 4), np.ones(4, int), 0)
    for _ in range(3 if step >= 8 else 0):
      apart.learn(rows(step, 4), np.zeros(4, int), 1)
  for i in range(4):
    assert_close(leaves(together, i), leaves(apart, i))


def test_metrics_are_means_and_minima_since_they_were_read(two):
  whole, each = two
  train(whole, 0, 8)
  train(each, 0, 8)
  seen = []
  for step in range(8, 12):
    for population in (whole, each):
      train(population, step, step + 1)
    seen.append(each.read_metrics())
  metrics = whole.read_metrics()
  np.testing.assert_allclose(
    metrics['loss'], np.mean([x['loss'] for x in seen], axis=0), rtol=1e-5
  )
  np.testing.assert_array_equal(
    metrics['log_policy_min'], np.min([x['log_policy_min'] for x in seen], axis=0)
  )
  assert np.isnan(whole.read_metrics()['loss']).all()


def test_replay_is_the_newest_rows_of_each_member():
  population = make_population(CONFIGS, range(4), capacity=10)
  counts = np.array([3, 2, 1, 0])
  for step in range(6):
    population.learn(rows(step, 4, num_rows=3), counts, 0)
  for i, count in enumerate(counts):
    expected = np.repeat(np.arange(6), count)[-10:]
    kept = population.replay(i)
    np.testing.assert_array_equal(kept[:, 0], expected)


def test_a_policy_that_samples_in_a_loop_is_a_member_as_any():
  configs = [
    dataclasses.replace(config, policy_family='autoregressive')
    for config in CONFIGS[:2]
  ]
  both, alone = make_population(configs, [0, 1]), make_population(configs[1:], [1])
  for population in (both, alone):
    train(population, 0, 12)
  assert_close(leaves(both, 1), leaves(alone, 0))
  observations = np.ones((2, 3), np.float32)
  np.testing.assert_array_equal(
    both.act(3, observations, False)[1:], alone.act(3, observations[:1], False)
  )


def test_batches_are_drawn_anew_and_evenly_from_the_newest_rows():
  def tally(state, transitions, numbers):
    del numbers
    steps = transitions.observation[:, 0].astype(jnp.int32)
    return state.at[steps].add(1), {'loss': jnp.zeros(())}

  algorithm = Algorithm(
    init=lambda key, numbers: jnp.zeros(10, jnp.int32),
    sgd_step=tally,
    act=lambda state, key, observation, exploring, deterministic: jax.random.uniform(
      key
    ),
    assess=None,
    save_policy=None,
  )
  population = engine.Population(
    algorithm, [(), ()], [0, 1], TransitionPacking(SPEC), capacity=6, batch_size=8
  )
  train(population, 0, 10, updates=0)
  population.learn(rows(0, 2), np.zeros(2, int), 750)
  tallies = np.array([leaves(population, i)[0] for i in range(2)])
  assert not tallies[:, :4].any()
  # 1,000 each, give or take five standard deviations.
  assert np.abs(tallies[:, 4:] - 1000).max() < 150
  assert (tallies[0] != tallies[1]).any()

  noise = [population.act(step, np.zeros((2, 3)), False) for step in range(3)]
  assert len(np.unique(noise)) == 6
