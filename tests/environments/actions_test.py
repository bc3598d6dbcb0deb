"""Actions that are integers at the border: int32 inside, the suite's own outside."""

import dm_env
import numpy as np
import pytest
from discrete_environments import SPACES, Discrete
from dm_env import specs
from environment_fakes import FakeGym
from gymnasium import spaces

from iq_acme.environments import DmEnvironment, GymnasiumEnvironment, make_environment

# The least and the largest action of each space.
BOUNDS = {
  'discrete': (5, 7),
  'other': (0, 2),
  'multi_discrete': ([1, -2], [2, 1]),
  'multi_discrete_matrix': ([[0, 0], [0, 0]], [[1, 2], [0, 1]]),
  'multi_binary': ([[0, 0], [0, 0]], [[1, 1], [1, 1]]),
}


@pytest.mark.parametrize('space', SPACES)
def test_a_space_of_integers_is_a_bounded_spec_of_int32_in_its_own_units(space):
  spec = GymnasiumEnvironment(Discrete(space)).action_spec()
  minimum, maximum = BOUNDS[space]
  assert spec.dtype == np.int32 and spec.shape == np.shape(minimum)
  np.testing.assert_array_equal(spec.minimum, minimum)
  np.testing.assert_array_equal(spec.maximum, maximum)


def test_discrete_from_0_on_is_dm_env_s_own_spec():
  spec = make_environment('gym:Acrobot-v1').action_spec()
  assert spec == specs.DiscreteArray(3, np.int32, 'action') and spec.num_values == 3


@pytest.mark.parametrize('space', SPACES)
def test_the_environment_gets_actions_of_its_space_and_may_keep_them(space):
  env = Discrete(space)
  environment = GymnasiumEnvironment(env, seed=0)
  spec = environment.action_spec()
  environment.reset()
  minimum, maximum = np.array(spec.minimum), np.array(spec.maximum)
  assert environment.step(minimum).reward == 1.0
  for action in (maximum, np.int64(maximum), maximum.tolist()):
    assert environment.step(action).reward == 0.0
  environment.step(np.full(spec.shape, 1000))  # Set to the bounds.
  np.testing.assert_array_equal(env.actions[0], minimum)
  for action in env.actions[1:]:
    np.testing.assert_array_equal(action, maximum)
  np.testing.assert_array_equal(minimum, spec.minimum)  # Written to by nobody.


@pytest.mark.parametrize(
  ('action', 'message'),
  [
    (1.0, 'must be of integers, got array'),
    (np.float32([1, 0]), 'must be of integers, got array'),
    ([1, 0, 0], r'must have shape \(2,\), got \(3,\)'),
    (None, 'must be of integers'),
  ],
)
def test_an_action_of_another_kind_or_shape_does_not_reach_the_environment(
  action, message
):
  environment = GymnasiumEnvironment(Discrete('multi_discrete'))
  environment.reset()
  with pytest.raises(ValueError, match=message):
    environment.step(action)


def test_a_box_of_integers_is_taken_like_a_multidiscrete():
  env = FakeGym(action_space=spaces.Box(0, 255, (2,), np.uint8))
  spec = GymnasiumEnvironment(env).action_spec()
  assert (spec.dtype, spec.shape, spec.maximum.tolist()) == (np.int32, (2,), [255, 255])


class OwnDm(dm_env.Environment):
  """Keeps the action that it is given."""

  def __init__(self, spec):
    self._spec = spec

  def observation_spec(self):
    return specs.Array((2,), np.float32)

  def action_spec(self):
    return self._spec

  def reset(self):
    return dm_env.restart(np.zeros(2))

  def step(self, action):
    self.action = action
    return dm_env.transition(0.0, np.zeros(2))


@pytest.mark.parametrize(
  ('spec', 'action'),
  [
    (specs.DiscreteArray(4, np.int64), 3),
    (specs.BoundedArray((2, 1), np.uint8, 1, [[3], [200]]), [[2], [199]]),
  ],
  ids=str,
)
def test_a_dm_env_environment_gets_its_own_dtype(spec, action):
  env = OwnDm(spec)
  environment = DmEnvironment(env)
  ours = environment.action_spec()
  assert ours.dtype == np.int32 and ours.shape == spec.shape
  environment.reset()
  environment.step(np.int32(action))
  assert env.action.dtype == spec.dtype
  np.testing.assert_array_equal(env.action, action)


def test_a_dm_env_environment_without_bounds_is_refused():
  with pytest.raises(
    ValueError, match="'mine' must be a BoundedArray of floats or int"
  ):
    DmEnvironment(OwnDm(specs.Array((2,), np.int32)), name='mine')


@pytest.mark.parametrize(
  ('name', 'num_actions'), [('gym:CartPole-v1', 2), ('gym:Acrobot-v1', 3)]
)
def test_gymnasiums_own_discrete_tasks_run(name, num_actions):
  environment = make_environment(name, seed=0)
  assert environment.action_spec().num_values == num_actions
  timestep = environment.reset()
  for action in range(num_actions):
    timestep = environment.step(np.int32(action))
    environment.observation_spec().validate(timestep.observation)
