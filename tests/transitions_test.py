"""Transitions as flat rows: nothing is lost, and nothing is larger than it must be."""

import collections

import jax
import numpy as np
import pytest
from dm_env import specs

from iq_acme.spec_checks import EnvironmentSpec
from iq_acme.transitions import TransitionPacking
from iq_acme.update import Transition


def environment_spec(observations, action_dim, dtype=np.float32):
  return EnvironmentSpec(
    observations=observations,
    actions=specs.BoundedArray((action_dim,), dtype, -1.0, 1.0),
    rewards=specs.Array((), dtype),
    discounts=specs.BoundedArray((), dtype, 0.0, 1.0),
  )


def vector(size, dtype=np.float32):
  return specs.Array((size,), dtype)


NESTED = collections.OrderedDict(
  joints=vector(3), contact={'left': specs.Array((), np.float32), 'right': vector(2)}
)
MIXED = {'time': specs.Array((), np.float64), 'half': vector(3, np.float16)}


def random_transition(spec, seed):
  rng = np.random.default_rng(seed)

  def draw(leaf):
    return np.asarray(rng.normal(size=leaf.shape) / 3, leaf.dtype)

  return Transition(
    jax.tree.map(draw, spec.observations),
    draw(spec.actions),
    draw(spec.rewards),
    draw(spec.discounts),
    jax.tree.map(draw, spec.observations),
  )


@pytest.mark.parametrize(
  ('observations', 'dtype', 'row_dtype'),
  [
    (vector(5), np.float32, np.float32),
    (NESTED, np.float32, np.float32),
    (MIXED, np.float32, np.uint8),
    (vector(5), np.float64, np.uint8),
  ],
  ids=['vector', 'nested', 'mixed', 'float64'],
)
def test_unpacking_gives_back_every_bit(observations, dtype, row_dtype):
  spec = environment_spec(observations, 2, dtype)
  packing = TransitionPacking(spec)
  assert packing.dtype == row_dtype
  transitions = [random_transition(spec, seed) for seed in range(4)]
  rows = np.stack([packing.pack(transition) for transition in transitions])
  assert rows.shape == (4, packing.width)
  assert rows.nbytes == 4 * packing.num_bytes
  batch = jax.tree.map(lambda *leaves: np.stack(leaves), *transitions)
  np.testing.assert_array_equal(packing.pack_batch(batch), rows)
  unpackers = [packing.unpack]
  if row_dtype == np.float32:
    unpackers.append(jax.jit(packing.unpack))
  expected = jax.tree.map(lambda *leaves: np.stack(leaves), *transitions)
  for unpack in unpackers:
    found = unpack(rows)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
      assert ours.dtype == theirs.dtype
      np.testing.assert_array_equal(np.asarray(ours), theirs)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_strided_arrays_are_packed_as_their_copies_are(dtype):
  spec = environment_spec(vector(5, dtype), 2, dtype)
  transition = random_transition(spec, 0)
  larger = np.arange(10, dtype=dtype)
  strided = transition._replace(observation=larger[::2])
  copied = transition._replace(observation=larger[::2].copy())
  packing = TransitionPacking(spec)
  np.testing.assert_array_equal(packing.pack(strided), packing.pack(copied))
  unpacked = packing.unpack(packing.pack(strided)[None])
  np.testing.assert_array_equal(unpacked.observation[0], [0, 2, 4, 6, 8])


@pytest.mark.parametrize(
  ('observation_dim', 'action_dim', 'num_bytes'),
  # 4 bytes for each number of s, a, r, discount and s'.
  [(17, 6, 168), (376, 17, 3_084)],
  ids=['HalfCheetah', 'Humanoid'],
)
def test_a_stored_transition_takes_what_its_numbers_take(
  observation_dim, action_dim, num_bytes
):
  packing = TransitionPacking(environment_spec(vector(observation_dim), action_dim))
  assert packing.num_bytes == num_bytes


def test_an_array_of_another_shape_is_refused_with_both_shapes():
  spec = environment_spec(vector(5), 2)
  transition = random_transition(spec, 0)._replace(action=np.zeros(3, np.float32))
  with pytest.raises(ValueError, match=r'\(3,\).*\(2,\)'):
    TransitionPacking(spec).pack(transition)


# Bounds up to what float32 holds; what is given back is int32 whatever comes in.
INTEGERS = {
  'discrete': (specs.DiscreteArray(3), [2, np.int64(0), 1]),
  'unequal': (
    specs.BoundedArray((2,), np.int64, [-(2**24), 0], [-(2**24) + 3, 2**24]),
    [[-(2**24), 2**24], [1 - 2**24, 2**24 - 1], [3 - 2**24, 0]],
  ),
  'binary matrix': (
    specs.BoundedArray((2, 2), np.int8, 0, 1),
    [
      [[0, 1], [1, 1]],
      np.array([[True, False], [False, False]]),
      np.zeros((2, 2), int),
    ],
  ),
}


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('kind', INTEGERS)
def test_integers_lie_in_a_row_of_float32_as_numbers_and_come_back_as_int32(
  kind, dtype
):
  actions, taken = INTEGERS[kind]
  spec = environment_spec(vector(3, dtype), 1)._replace(actions=actions)
  packing = TransitionPacking(spec)
  rows = np.stack(
    [
      packing.pack(Transition(np.ones(3, dtype), action, 0.5, 1.0, np.ones(3, dtype)))
      for action in taken
    ]
  )
  in_floats = dtype == np.float32
  assert rows.dtype == (np.float32 if in_floats else np.uint8)
  expected = np.stack([np.asarray(action) for action in taken]).astype(np.int32)
  unpackers = (
    [packing.unpack, jax.jit(packing.unpack)] if in_floats else [packing.unpack]
  )
  for unpack in unpackers:
    action = unpack(rows).action
    assert action.dtype == np.int32
    np.testing.assert_array_equal(action, expected)
  if in_floats:
    assert packing.width == 3 + np.size(taken[0]) + 2 + 3
    numbers = rows[:, 3 : 3 + np.size(taken[0])]
    np.testing.assert_array_equal(numbers, expected.reshape(3, -1))
    batch = jax.tree.map(lambda *x: np.stack(x), *map(packing.unpack, rows[:, None]))
    batch = jax.tree.map(lambda x: x[:, 0], batch)
    np.testing.assert_array_equal(packing.pack_batch(batch), rows)
  on_host = packing.unpack_in_update(packing.unpack_on_host(rows))
  np.testing.assert_array_equal(on_host.action, expected)


def test_an_action_of_floats_in_place_of_integers_is_refused():
  spec = environment_spec(vector(2), 1)._replace(actions=specs.DiscreteArray(3))
  step = Transition(np.ones(2), 1.7, 0.0, 1.0, np.ones(2))
  with pytest.raises(ValueError, match=r'action 1.7; .* integers'):
    TransitionPacking(spec).pack(step)
