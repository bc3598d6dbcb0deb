import math
from types import SimpleNamespace

import numpy as np
import pytest
from dm_env import specs

from iq_acme.baselines.sac import networks as sac_networks
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.spec_checks import check_environment_spec

OBSERVATION = specs.Array((3,), np.float32)
ACTION = specs.BoundedArray((2,), np.float32, -1.0, 1.0)


def environment(observations=OBSERVATION, actions=ACTION):
  return SimpleNamespace(observations=observations, actions=actions)


def bounded(minimum, maximum, dtype=np.float32):
  """A bounded spec that dm_env itself may refuse to make."""
  minimum, maximum = np.asarray(minimum, dtype), np.asarray(maximum, dtype)
  shape = np.broadcast_shapes(minimum.shape, maximum.shape)
  return SimpleNamespace(
    shape=shape, dtype=np.dtype(dtype), minimum=minimum, maximum=maximum
  )


FLOAT_MAX = float(np.finfo(np.float32).max)

BAD_ACTIONS = {
  'bool': (specs.BoundedArray((2,), bool, False, True), ('dtype bool', 'integers')),
  'integers without bounds': (specs.Array((2,), np.int32), ('no bounds', 'Bounded')),
  'empty integers': (specs.BoundedArray((3, 0), np.int32, 0, 1), ('(3, 0)', 'no elem')),
  'all integers': (
    specs.BoundedArray((2, 1), np.int32, [[0], [-(2**31)]], [[1], [2**31 - 1]]),
    ('dimension 1 ', '[-2147483648, 2147483647]', '16,777,216'),
  ),
  'integers beyond float32': (
    specs.BoundedArray((), np.int64, 0, 2**24 + 1),
    ('dimension 0 ', '[0, 16777217]', 'within 16,777,216 of 0'),
  ),
  'too many integers': (
    specs.BoundedArray((1,), np.int32, -1, 2**24 - 1),
    ('dimension 0 ', '16,777,217 values', 'from -1 to 16777215'),
  ),
  'swapped integers': (
    bounded([0, 2], [0, 1], int),
    ('dimension 1 ', '[2, 1]', 'above'),
  ),
  'dict': ({'arm': ACTION}, ('nested', "'arm'", 'one flat vector')),
  'list': ([ACTION, ACTION], ('nested', 'one flat vector')),
  'scalar': (
    specs.BoundedArray((), np.float32, -1, 1),
    ('shape ()', 'non-empty vector'),
  ),
  'matrix': (
    specs.BoundedArray((2, 3), np.float32, -1, 1),
    ('shape (2, 3)', 'vector'),
  ),
  'empty': (specs.BoundedArray((0,), np.float32, -1, 1), ('shape (0,)', 'non-empty')),
  'unbounded': (specs.Array((2,), np.float32), ('no bounds', 'BoundedArray')),
  'infinite': (
    specs.BoundedArray((2,), np.float32, [-1, -1], [1, math.inf]),
    ('dimension 1 ', '[-1.0, inf]', 'finite'),
  ),
  'minus infinite': (
    specs.BoundedArray((2,), np.float32, -math.inf, 1),
    ('dimension 0 ', '[-inf, 1.0]', 'finite'),
  ),
  'nan': (bounded([-1, math.nan], [1, 1]), ('dimension 1 ', '[nan, 1.0]', 'finite')),
  'equal': (
    specs.BoundedArray((2,), np.float32, [-1, 3], [1, 3]),
    ('dimension 1 ', '[3.0, 3.0]', 'minimum below the maximum'),
  ),
  'swapped': (
    bounded([1, -1], [-1, 1]),
    ('dimension 0 ', '[1.0, -1.0]', 'minimum below the maximum'),
  ),
  'the largest float as infinity': (
    specs.BoundedArray((2,), np.float32, -FLOAT_MAX, FLOAT_MAX),
    ('dimension 0 ', 'finite', 'in float32'),
  ),
  'infinite in float32': (
    bounded([-1], [1e300], np.float64),
    ('dimension 0 ', '[-1.0, 1e+300]', 'in float32'),
  ),
  'equal in float32': (
    bounded([1.0], [1.0 + 1e-12], np.float64),
    ('dimension 0 ', 'minimum below the maximum', 'in float32'),
  ),
}

BAD_OBSERVATIONS = {
  'pixels': (specs.Array((84, 84, 3), np.uint8), ('(84, 84, 3)', 'Pixels')),
  'float pixels': (specs.Array((64, 64, 3), np.float32), ('(64, 64, 3)', 'Pixels')),
  'matrix': (specs.Array((4, 2), np.float32), ('(4, 2)', 'flattening wrapper')),
  'integer': (specs.Array((3,), np.int32), ('dtype int32', 'float observations')),
  'bool': (specs.Array((3,), bool), ('dtype bool', 'float observations')),
  'discrete': (specs.DiscreteArray(16), ('num_values=16', 'float observations')),
  'one bad leaf of a dict': (
    {'joints': OBSERVATION, 'camera': specs.Array((8, 8, 3), np.uint8, name='camera')},
    ('(8, 8, 3)', "name='camera'"),
  ),
  'no leaves': ({}, ('empty', 'at least one array')),
  'none': (None, ('empty', 'at least one array')),
  'no elements': (specs.Array((0,), np.float32), ('no elements', 'at least one')),
}


# Of a reward or a discount.
BAD_SCALARS = {
  'integer': (specs.Array((), np.int32), ('dtype int32', 'float scalar')),
  'vector': (specs.Array((2,), np.float32), ('shape (2,)', 'float scalar')),
  'one in a vector': (specs.Array((1,), np.float32), ('shape (1,)', 'float scalar')),
  'nested': ({'team': specs.Array((), np.float32)}, ('nested', "'team'")),
  'none': (None, ('nested', 'None', 'float scalar')),
}


def refuses(spec, words):
  for check in (check_environment_spec, make_networks):
    with pytest.raises(ValueError) as error:
      check(spec)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize('kind', BAD_ACTIONS)
def test_bad_action_spec_is_refused_by_name(kind):
  actions, words = BAD_ACTIONS[kind]
  refuses(environment(actions=actions), ('ction', *words))


@pytest.mark.parametrize('kind', BAD_OBSERVATIONS)
def test_bad_observation_spec_is_refused_by_name(kind):
  observations, words = BAD_OBSERVATIONS[kind]
  refuses(environment(observations=observations), ('bservation', *words))


@pytest.mark.parametrize('field', ['rewards', 'discounts'])
@pytest.mark.parametrize('kind', BAD_SCALARS)
def test_bad_reward_and_discount_specs_are_refused_by_name(kind, field):
  spec, words = BAD_SCALARS[kind]
  fields = {name: specs.Array((), np.float32) for name in ('rewards', 'discounts')}
  refuses(
    SimpleNamespace(**vars(environment()), **fields | {field: spec}),
    (field[:-1], *words),
  )


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_float_scalars_are_accepted_as_reward_and_discount(dtype):
  scalars = {'rewards': specs.Array((), dtype), 'discounts': specs.Array((), dtype)}
  check_environment_spec(SimpleNamespace(**vars(environment()), **scalars))


@pytest.mark.parametrize(
  'observations',
  [
    specs.Array((), np.float32),
    specs.Array((3,), np.float64),
    specs.BoundedArray((3,), np.float32, -np.inf, np.inf),
    {'a': OBSERVATION, 'b': (specs.Array((), np.float64), OBSERVATION)},
    {'a': OBSERVATION, 'nothing': specs.Array((0,), np.float32)},
  ],
)
def test_float_vectors_and_scalars_are_accepted_also_nested(observations):
  check_environment_spec(environment(observations=observations))


@pytest.mark.parametrize(
  'actions',
  [
    specs.BoundedArray((1,), np.float64, -0.4, 0.4),
    specs.BoundedArray((2,), np.float32, [0, -1], [2, 3]),
    specs.BoundedArray((17,), np.float32, 0, 1e6),
    specs.DiscreteArray(4),
    specs.BoundedArray((), np.int64, -3, -3),
    specs.BoundedArray((2, 3), np.int8, 0, 1),
    specs.BoundedArray((2,), np.uint8, [0, 5], [2, 255]),
    specs.BoundedArray((1,), np.int32, -(2**24), -1),
  ],
)
def test_finite_bounds_of_any_kind_are_accepted(actions):
  check_environment_spec(environment(actions=actions))


@pytest.mark.parametrize('actions', [specs.DiscreteArray(4), bounded([0], [3], int)])
def test_what_needs_floats_refuses_integers_naming_both(actions):
  spec = environment(actions=actions)
  with pytest.raises(ValueError, match=r"of integers.*int.*policy_family 'gaussian'"):
    make_networks(spec, IQConfig(policy_family='gaussian'))
  with pytest.raises(ValueError, match=r'of integers.*int.*SAC takes floats'):
    sac_networks.make_networks(spec, SACHyperparameters())
