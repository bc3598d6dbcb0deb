"""Observation spaces that are no vectors, in the order of Gymnasium's own `flatten`."""

import collections

import dm_env
import numpy as np
import pytest
from dm_env import specs
from gymnasium import spaces

from iq_acme.environments import BadReturnError, DmEnvironment, make_environment
from iq_acme.environments.observations import FlatObservations

NESTED = spaces.Dict(
  {
    'goal': spaces.Box(-1, 1, (2,), np.float64),
    'arm': spaces.Tuple(
      [spaces.Box(-1, 1, (2, 3)), spaces.Discrete(3, start=1), spaces.Box(-1, 1, ())]
    ),
    'cells': spaces.Box(0, 255, (2, 2), np.uint8),
  }
)


@pytest.mark.parametrize(
  'space',
  [
    NESTED,
    spaces.Dict([('b', spaces.Box(-1, 1, (1,))), ('a', spaces.Box(-1, 1, (2,)))]),
    spaces.Tuple([spaces.Discrete(4), spaces.Box(-1, 1, (3,))]),
    spaces.Box(0, 255, (31, 31, 3), np.uint8),
    spaces.Box(-9, 9, (4096,), np.int64),
    spaces.Box(0, 1, (3,), np.bool_),
    spaces.Box(-1, 1, (3, 2)),
    spaces.Box(-1, 1, ()),
    spaces.Discrete(5, start=-2),
  ],
  ids=str,
)
def test_observations_are_flattened_as_gymnasium_does(space):
  flatten = FlatObservations('mine', space)
  space.seed(0)
  for _ in range(5):
    observation = space.sample()
    flat = flatten(observation)
    flatten.spec.validate(flat)
    np.testing.assert_array_equal(
      flat, np.float32(spaces.utils.flatten(space, observation))
    )


def test_integers_are_cast_and_not_scaled():
  flatten = FlatObservations('mine', spaces.Box(0, 255, (2,), np.uint8))
  np.testing.assert_array_equal(flatten(np.uint8([0, 255])), [0.0, 255.0])


def test_a_flat_observation_is_a_copy():
  buffer = {'a': np.zeros(2, np.float32)}
  flat = FlatObservations('mine', spaces.Dict({'a': spaces.Box(-1, 1, (2,))}))(buffer)
  buffer['a'][:] = 1.0
  np.testing.assert_array_equal(flat, [0.0, 0.0])


GOOD = {
  'goal': np.zeros(2),
  'arm': (np.zeros((2, 3)), 1, np.zeros(())),
  'cells': np.zeros((2, 2), np.uint8),
}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'goal': np.zeros(3)}, r"observation\['goal'\] of 'mine'.*\(2,\).*shape \(3,\)"),
    ({'other': 0}, "observation of 'mine' must be a dict of 'arm', 'cells', 'goal'"),
    ({'arm': (np.zeros((2, 3)), 1)}, r"\['arm'\] of 'mine' must be a tuple of 3"),
    ({'arm': (np.zeros((2, 3)), 4, 0)}, r"\['arm'\]\[1\].*Discrete\(3, start=1\).*4"),
    ({'arm': (np.zeros((2, 3)), 0, 0)}, r"\['arm'\]\[1\].*Discrete\(3, start=1\).*0"),
    ({'arm': (np.zeros((2, 3)), np.nan, 0)}, r'\[1\].*Discrete\(3, start=1\).*nan'),
  ],
)
def test_the_part_that_does_not_fit_is_named(changes, message):
  flatten = FlatObservations('mine', NESTED)
  flatten(GOOD)
  with pytest.raises(BadReturnError, match=message):
    flatten(GOOD | changes)


@pytest.mark.parametrize(
  ('mapping', 'expected'),
  [(dict, [2.0, 0.0, 1.0]), (collections.OrderedDict, [0.0, 1.0, 2.0])],
)
def test_a_dm_env_observation_is_in_the_order_of_its_spec(mapping, expected):
  class Own(dm_env.Environment):
    def observation_spec(self):
      return mapping([('b', specs.DiscreteArray(2)), ('a', specs.Array((), float))])

    def action_spec(self):
      return specs.BoundedArray((1,), np.float32, -1, 1)

    def reset(self):
      return dm_env.restart({'b': 1, 'a': 2.0})

    def step(self, action):
      raise NotImplementedError

  observation = DmEnvironment(Own()).reset().observation
  np.testing.assert_array_equal(observation, expected)


def test_a_registered_task_with_several_observations_can_be_made():
  pytest.importorskip('gymnasium_robotics')
  environment = make_environment('gym:gymnasium_robotics:PointMaze_UMaze-v3', seed=0)
  observation = environment.reset().observation
  # By sorted keys: achieved_goal [2], desired_goal [2], observation [4].
  assert observation.shape == (8,)
  np.testing.assert_array_equal(observation[:2], observation[4:6])
