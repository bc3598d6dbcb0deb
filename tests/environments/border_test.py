"""What crosses the border to foreign code: arrays, dtypes, bounds, and what returns."""

import dm_env
import gymnasium
import numpy as np
import pytest
from dm_env import specs
from environment_fakes import FakeGym
from gymnasium import spaces

from iq_acme.environments import BadReturnError, DmEnvironment, GymnasiumEnvironment
from iq_acme.episodes import Episode, summarize

BOUNDS = np.array([0.1, 0.7])  # Float32 rounds the one up, and the other down.


class Recording(FakeGym):
  """Keeps the very actions that it is given, and writes to them."""

  def step(self, action):
    self.action, self.given = action, action.copy()
    action *= 0.1
    return super().step(action)


class FakeDm(dm_env.Environment):
  """Keeps the very actions that it is given, writes to them, returns what it is told."""

  def __init__(self, dtype=np.float64, **timestep):
    self._action_spec = specs.BoundedArray((2,), dtype, -BOUNDS, BOUNDS)
    self._timestep = dm_env.transition(0.5, np.zeros(2), 1.0)._replace(**timestep)

  def observation_spec(self):
    return specs.Array((2,), np.float64)

  def action_spec(self):
    return self._action_spec

  def reset(self):
    return dm_env.restart(np.zeros(2))

  def step(self, action):
    self.action, self.given = action, action.copy()
    action *= 0.1
    return self._timestep


def recording(suite, dtype):
  """An environment whose actions have these bounds, and its adapter."""
  if suite == 'dm_env':
    env = FakeDm(dtype)
    return env, DmEnvironment(env, name='mine')
  low, high = (-BOUNDS).astype(dtype), BOUNDS.astype(dtype)
  env = Recording(action_space=spaces.Box(low, high, dtype=dtype))
  return env, GymnasiumEnvironment(env, name='mine')


@pytest.mark.parametrize('suite', ['gym', 'dm_env'])
def test_an_environment_that_writes_to_its_action_writes_to_a_copy(suite):
  env, environment = recording(suite, np.float32)
  environment.reset()
  action = np.full(2, 0.05, np.float32)
  environment.step(action)
  np.testing.assert_array_equal(action, np.float32(0.05))
  first = env.action
  environment.step(action)
  assert not np.shares_memory(first, env.action)  # It may keep it, too.


@pytest.mark.parametrize('suite', ['gym', 'dm_env'])
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('sign', [-1, 1])
def test_actions_have_the_space_s_dtype_and_lie_within_its_bounds(suite, dtype, sign):
  env, environment = recording(suite, dtype)
  spec = environment.action_spec()
  assert spec.dtype == np.float32
  bound = spec.maximum if sign > 0 else spec.minimum
  environment.reset()
  for action in (bound, 2 * bound, 0.3 * bound):
    environment.step(action)
    assert env.given.dtype == dtype
    assert np.all(np.abs(env.given) <= BOUNDS.astype(dtype))
  np.testing.assert_allclose(env.given, 0.3 * bound, rtol=1e-3)


def test_an_action_with_a_nan_does_not_reach_the_environment():
  _, environment = recording('gym', np.float32)
  environment.reset()
  with pytest.raises(ValueError, match=r'action must have no NaN, got \[ 0\. nan\]'):
    environment.step(np.array([0.0, np.nan]))


class OldReset(FakeGym):
  def reset(self, *, seed=None, options=None):
    return np.zeros(2)  # Two numbers: an unwary caller would unpack them.


class DictReset(FakeGym):
  def reset(self, *, seed=None, options=None):
    return {'a': 1}, {}


class OldStep(FakeGym):
  def step(self, action):
    return np.zeros(2), 0.0, False, {}


def returning(**step):
  return lambda: FakeGym(**step)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (OldReset, r"reset\(\) of 'mine' must return \(observation, info\), got array"),
    (DictReset, r"observation of 'mine' must be numbers of shape \(2,\).*got dict"),
    (OldStep, r'step\(\).*\(observation, reward, terminated, truncated, info\), got'),
    (returning(observation=np.zeros((1, 2))), r'of shape \(2,\).*got shape \(1, 2\)'),
    (returning(observation=0.5), r'must be of shape \(2,\).*got shape \(\)'),
    (returning(observation=['a', 'b']), r"numbers of shape \(2,\).*got list \['a', "),
    (returning(observation=[[1], [1, 2]]), 'got list'),
    (returning(observation=None), 'got NoneType None'),
    (
      returning(reward=np.zeros(1)),
      r'reward.*must be one number, got array\(\[0\.\]\)',
    ),
    (returning(reward=None), 'reward.*must be one number, got None'),
    (returning(reward='1'), "reward.*must be one number, got '1'"),
    (returning(terminated=np.zeros(2)), 'terminated.*must be True or False, got array'),
    (returning(truncated={}), r'truncated.*must be True or False, got \{\}'),
    (returning(info=None), r'info\), got'),
  ],
)
def test_what_a_gymnasium_environment_must_not_return_is_named(make, message):
  environment = GymnasiumEnvironment(make(), name='mine')
  with pytest.raises(BadReturnError, match=message):
    environment.reset()
    environment.step(np.zeros(1))


@pytest.mark.parametrize(
  ('timestep', 'error', 'message'),
  [
    ({'observation': np.zeros(3)}, BadReturnError, r"'mine'.*\(2,\).*got shape \(3,\)"),
    ({'reward': None}, BadReturnError, 'reward.*one number, got None'),
    ({'discount': np.ones(1)}, BadReturnError, 'discount.*one number, got array'),
    ({'reward': np.nan}, FloatingPointError, 'reward.*finite float32, got nan'),
    ({'reward': 1e300}, FloatingPointError, r'reward.*finite float32, got 1e\+300'),
    ({'discount': np.nan}, FloatingPointError, 'discount.*got nan'),
  ],
)
def test_what_a_dm_env_environment_must_not_return_is_named(timestep, error, message):
  environment = DmEnvironment(FakeDm(**timestep), name='mine')
  environment.reset()
  with pytest.raises(error, match=message):
    environment.step(np.zeros(2))


def test_a_dm_env_environment_must_return_time_steps():
  class Gymlike(FakeDm):
    def reset(self):
      return np.zeros(2), {}

  with pytest.raises(BadReturnError, match=r'reset\(\).*dm_env.TimeStep, got \(array'):
    DmEnvironment(Gymlike(), name='mine').reset()


@pytest.mark.parametrize('reward', [1, True, np.float64(1), np.array(1.0), np.int64(1)])
def test_any_number_is_a_reward(reward):
  environment = GymnasiumEnvironment(FakeGym(reward=reward, terminated=np.bool_(False)))
  environment.reset()
  timestep = environment.step(np.zeros(1))
  assert timestep.reward == 1.0
  assert timestep.reward.dtype == np.float32


def test_a_reset_that_takes_no_seed_is_refused_below_wrappers_too():
  class NoSeed(FakeGym):
    def reset(self):
      return np.zeros(2), {}

  env = gymnasium.wrappers.TimeLimit(NoSeed(), 3)
  with pytest.raises(ValueError, match=r"'mine' must take a seed.*NoSeed\.reset\(\)"):
    GymnasiumEnvironment(env, name='mine')


def test_what_is_no_gymnasium_environment_is_refused():
  with pytest.raises(ValueError, match=r'env must be a gymnasium\.Env, got .*FakeDm'):
    GymnasiumEnvironment(FakeDm())


@pytest.mark.parametrize('key', ['final_observation', 'final_obs'])
@pytest.mark.parametrize('end', ['terminated', 'truncated'])
def test_the_last_observation_of_an_environment_that_resets_itself_is_in_its_info(
  key, end
):
  info = {key: np.ones(2)}
  environment = GymnasiumEnvironment(FakeGym(info=info, **{end: True}))
  environment.reset()
  timestep = environment.step(np.zeros(1))
  assert timestep.last()
  np.testing.assert_array_equal(timestep.observation, [1.0, 1.0])


def test_within_an_episode_a_final_observation_is_an_older_one():
  environment = GymnasiumEnvironment(FakeGym(info={'final_obs': np.ones(2)}))
  environment.reset()
  np.testing.assert_array_equal(environment.step(np.zeros(1)).observation, [0.0, 0.0])


def measured(suite, *metrics):
  """An environment whose `episode_metrics` returns these in turn."""
  env = FakeGym() if suite == 'gym' else FakeDm()
  env.episode_metrics = iter(metrics).__next__
  adapter = GymnasiumEnvironment if suite == 'gym' else DmEnvironment
  return adapter(env, name='mine')


@pytest.mark.parametrize('suite', ['gym', 'dm_env'])
def test_metrics_are_plain_numbers_by_name(suite):
  given = {'success': np.bool_(True), 'distance to goal': np.array(0.5), 'n': 3}
  found = measured(suite, given).episode_metrics()
  assert found == {'success': 1.0, 'distance to goal': 0.5, 'n': 3.0}
  assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize('suite', ['gym', 'dm_env'])
@pytest.mark.parametrize(
  ('metrics', 'message'),
  [
    ([None], 'a dict of numbers by name, got None'),
    ([{'x': 'yes'}], "one number for 'x', got 'yes'"),
    ([{'x': None}], "one number for 'x', got None"),
    ([{'x': [1.0, 2.0]}], r"one number for 'x', got \[1.0, 2.0\]"),
    ([{'x': [[1.0], 2.0]}], "one number for 'x'"),
    ([{3: 1.0}], 'names that are words .*, got 3'),
    ([{'': 1.0}], "names that are words .*, got ''"),
    ([{'a\nb': 1.0}], r"names that are words .*, got 'a\\nb'"),
    ([{'episode_return': 1.0}], "names that .*, got 'episode_return'"),
    ([{'x': 1.0}, {'y': 1.0}], r"the same names at every call, \['x'\], got \['y'\]"),
  ],
)
def test_metrics_that_no_log_can_hold_are_refused(suite, metrics, message):
  environment = measured(suite, *metrics)
  for _ in metrics[1:]:
    environment.episode_metrics()
  with pytest.raises(
    BadReturnError, match=rf"episode_metrics\(\) of 'mine' must return {message}"
  ):
    environment.episode_metrics()


def test_names_that_evaluations_and_logs_have_themselves_are_not_a_task_s():
  rows = [Episode(1.0, 2, {}), Episode(1.0, 2, {})]
  for name in summarize(rows):
    with pytest.raises(BadReturnError, match=f"got '{name}'"):
      measured('gym', {name: 1.0}).episode_metrics()
