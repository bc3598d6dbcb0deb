"""The contract of make_environment, over all suites. Adroit's own: adroit_test."""

import os
import subprocess
import sys
import warnings

import dm_env
import gymnasium
import numpy as np
import pytest
from dm_env import specs
from gymnasium import spaces

from iq_acme.environments import GymnasiumEnvironment, make_environment

ONE_TASK_PER_SUITE = ['gym:HalfCheetah-v4', 'adroit:door', 'dm_control:cheetah:run']


class FakeGym(gymnasium.Env):
  """Counts its steps; gives out what it is told to."""

  def __init__(self, observation_space=None, action_space=None, **step):
    self.observation_space = observation_space or spaces.Box(-1, 1, (2,))
    self.action_space = action_space or spaces.Box(-1, 1, (1,))
    self.step_result = {
      'observation': np.zeros(2),
      'reward': 0.0,
      'terminated': False,
      'truncated': False,
      'info': {},
    } | step

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return np.zeros(2), {}

  def step(self, action):
    return tuple(self.step_result.values())


def trajectory(environment, num_episodes=3, num_steps=5):
  """Observations and rewards of some episodes under one sequence of actions."""
  spec = environment.action_spec()
  rng = np.random.default_rng(7)
  values = []
  for _ in range(num_episodes):
    timestep = environment.reset()
    values.append(timestep.observation)
    for _ in range(num_steps):
      action = rng.uniform(spec.minimum, spec.maximum).astype(np.float32)
      timestep = environment.step(action)
      values.append(np.append(timestep.observation, timestep.reward))
  return np.concatenate(values)


def run_episode(environment, seed=0):
  rng = np.random.default_rng(seed)
  spec = environment.action_spec()
  timesteps = [environment.reset()]
  while not timesteps[-1].last():
    action = rng.uniform(spec.minimum, spec.maximum).astype(np.float32)
    timesteps.append(environment.step(action))
  return timesteps


@pytest.mark.parametrize(
  ('name', 'observation_size', 'action_size', 'bound'),
  [
    ('gym:HalfCheetah-v4', 17, 6, 1.0),
    ('gym:Humanoid-v4', 376, 17, 0.4),
    ('gym:Pendulum-v1', 3, 1, 2.0),
    ('gym:Ant-v5', 105, 8, 1.0),
    ('dm_control:cheetah:run', 17, 6, 1.0),
    ('adroit:door', 39, 28, 1.0),
    ('adroit:hammer', 46, 26, 1.0),
    ('adroit:pen', 45, 24, 1.0),
    ('adroit:relocate', 39, 30, 1.0),
  ],
)
def test_specs_and_timesteps_are_float32(name, observation_size, action_size, bound):
  with make_environment(name, seed=1) as environment:
    observation_spec = environment.observation_spec()
    action_spec = environment.action_spec()
    assert observation_spec.shape == (observation_size,)
    assert observation_spec.dtype == np.float32
    assert isinstance(action_spec, specs.BoundedArray)
    assert action_spec.shape == (action_size,)
    assert action_spec.dtype == np.float32
    np.testing.assert_array_equal(action_spec.maximum, np.float32(bound))
    np.testing.assert_array_equal(action_spec.minimum, -np.float32(bound))

    first = environment.reset()
    assert first.first()
    observation_spec.validate(first.observation)
    timestep = environment.step(action_spec.generate_value())
    assert timestep.mid()
    observation_spec.validate(timestep.observation)
    environment.reward_spec().validate(timestep.reward)
    environment.discount_spec().validate(timestep.discount)
    assert timestep.reward.dtype == timestep.discount.dtype == np.float32
    assert timestep.discount == 1.0


@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
def test_same_seed_gives_same_trajectory_over_several_episodes(name):
  first = trajectory(make_environment(name, seed=3))
  np.testing.assert_array_equal(first, trajectory(make_environment(name, seed=3)))
  assert not np.array_equal(first, trajectory(make_environment(name, seed=4)))


@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
def test_later_episodes_continue_the_random_stream(name):
  environment = make_environment(name, seed=3)
  starts = [environment.reset().observation for _ in range(3)]
  assert not np.array_equal(starts[0], starts[1])
  assert not np.array_equal(starts[1], starts[2])


def test_no_seed_is_unpredictable():
  starts = [make_environment('gym:Pendulum-v1').reset().observation for _ in range(2)]
  assert not np.array_equal(*starts)


def test_gymnasium_transitions_pass_through_unchanged():
  environment = make_environment('gym:HalfCheetah-v4', seed=5)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    reference = gymnasium.make('HalfCheetah-v4')
  start, _ = reference.reset(seed=5)
  np.testing.assert_array_equal(environment.reset().observation, np.float32(start))
  for value in (0.3, -0.7, 1.0):
    action = np.full(6, value, np.float32)
    observation, reward, *_ = reference.step(action)
    timestep = environment.step(action)
    np.testing.assert_array_equal(timestep.observation, np.float32(observation))
    assert timestep.reward == np.float32(reward)


def test_dm_control_observation_is_position_then_velocity():
  environment = make_environment('dm_control:cheetah:run', seed=5)
  # Imported here: our import of dm_control is the one that keeps quiet.
  from dm_control import suite

  reference = suite.load('cheetah', 'run', task_kwargs={'random': 5})
  ours, theirs = environment.reset(), reference.reset()
  for _ in range(3):
    expected = np.concatenate(
      [theirs.observation['position'], theirs.observation['velocity']]
    )
    np.testing.assert_array_equal(ours.observation, np.float32(expected))
    action = np.full(6, 0.5, np.float32)
    ours, theirs = environment.step(action), reference.step(action)


def test_earlier_observations_are_not_overwritten():
  environment = make_environment('gym:HalfCheetah-v4', seed=0)
  first = environment.reset().observation
  copy = first.copy()
  first_step = environment.step(np.ones(6, np.float32)).observation
  assert not np.array_equal(first_step, copy)
  np.testing.assert_array_equal(first, copy)


@pytest.mark.parametrize(
  ('name', 'options', 'length'),
  [
    ('gym:HalfCheetah-v4', {'max_episode_steps': 3}, 3),
    ('gym:Pendulum-v1', {}, 200),
    ('adroit:door', {'max_episode_steps': 4}, 4),
    ('dm_control:cheetah:run', {}, 1000),
  ],
)
def test_time_limit_ends_the_episode_with_discount_one(name, options, length):
  timesteps = run_episode(make_environment(name, seed=0, **options))
  assert len(timesteps) == length + 1
  assert timesteps[-1].last()
  assert timesteps[-1].discount == 1.0


def test_termination_ends_the_episode_with_discount_zero():
  timesteps = run_episode(make_environment('gym:Humanoid-v4', seed=0))
  assert len(timesteps) < 200  # A random humanoid falls long before its time limit.
  assert timesteps[-1].discount == 0.0
  assert all(timestep.discount == 1.0 for timestep in timesteps[1:-1])


def test_termination_in_the_last_allowed_step_is_a_termination():
  environment = GymnasiumEnvironment(FakeGym(terminated=True, truncated=True))
  environment.reset()
  timestep = environment.step(np.zeros(1))
  assert timestep.last()
  assert timestep.discount == 0.0


def test_step_after_the_end_starts_the_next_episode():
  environment = make_environment('gym:Pendulum-v1', seed=0, max_episode_steps=1)
  assert environment.step(np.zeros(1)).first()
  assert environment.step(np.zeros(1)).last()
  timestep = environment.step(np.zeros(1))
  assert timestep.first()
  assert timestep.reward is None


def test_wrapped_dict_observations_can_be_passed_in():
  class DictGym(FakeGym):
    def reset(self, *, seed=None, options=None):
      return {'a': np.zeros(1), 'b': np.ones(2)}, {}

  box = spaces.Dict({'a': spaces.Box(-1, 1, (1,)), 'b': spaces.Box(-1, 1, (2,))})
  env = gymnasium.wrappers.FlattenObservation(DictGym(box))
  observation = GymnasiumEnvironment(env).reset().observation
  np.testing.assert_array_equal(observation, [0.0, 1.0, 1.0])


@pytest.mark.parametrize('name', ['gym:Pendulum-v1', 'dm_control:cheetah:run'])
def test_tasks_without_metrics_of_their_own_have_none(name):
  environment = make_environment(name, seed=0)
  environment.reset()
  assert environment.episode_metrics() == {}


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('HalfCheetah-v4', "no suite prefix; did you mean 'gym:HalfCheetah-v4'"),
    ('door', "no suite prefix; did you mean 'adroit:door'"),
    ('atari:Pong', "unknown suite 'atari'.*gym, adroit, dm_control"),
    ('dm-control:cheetah:run', "did you mean 'dm_control'"),
    ('gym:HalfCheeta-v4', "'HalfCheeta-v4'.*did you mean 'HalfCheetah-v4'"),
    ('gym:HalfCheetah', "did you mean.*'HalfCheetah-v4'"),
    ('gym:HalfCheetah-v2', "mujoco-py.*'gym:HalfCheetah-v4'"),
    ('gym:', "''"),
    ('adroit:dor', "door, hammer, pen, relocate.*did you mean 'door'"),
    ('dm_control:cheetah', "this domain has 'cheetah:run'"),
    ('dm_control:cheetah:walk', "this domain has 'cheetah:run'"),
    ('dm_control:cheeta:run', "did you mean 'cheetah:run'"),
    ('gym:CartPole-v1', r'action space.*continuous actions.*Discrete\(2\)'),
    ('gym:Blackjack-v1', 'observation space.*Box.*Tuple.*FlattenObservation'),
    (None, 'name must be a string.*None'),
  ],
)
def test_bad_name_is_refused(name, message):
  with pytest.raises(ValueError, match=message):
    make_environment(name)


@pytest.mark.parametrize('seed', [-1, 1.0, '1', True, 2**32, np.array([1, 2])])
@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
def test_bad_seed_is_refused(name, seed):
  with pytest.raises(ValueError, match='seed must be None or an integer'):
    make_environment(name, seed=seed)


def test_numpy_integers_are_seeds():
  starts = [
    make_environment('gym:Pendulum-v1', seed=seed).reset().observation
    for seed in (3, np.int64(3))
  ]
  np.testing.assert_array_equal(*starts)


@pytest.mark.parametrize(
  ('name', 'options', 'message'),
  [
    ('gym:Pendulum-v1', {'max_episode_step': 5}, "did you mean 'max_episode_steps'"),
    ('gym:Pendulum-v1', {'original_reward_sign': True}, 'max_episode_steps, render'),
    ('gym:Pendulum-v1', {'max_episode_steps': 0}, 'at least 1, got 0'),
    ('gym:Pendulum-v1', {'max_episode_steps': 1.5}, 'at least 1, got 1.5'),
    ('gym:Pendulum-v1', {'render_mode': 'human'}, "'rgb_array'.*'human'"),
    ('dm_control:cheetah:run', {'max_episode_steps': 5}, "'dm_control'.*render_mode"),
    ('dm_control:cheetah:run', {'render_mode': 'human'}, "'rgb_array'.*'human'"),
    ('adroit:door', {'sparse': True}, "sparse=True is unknown to the suite 'adroit'"),
    ('adroit:door', {'original_reward_sign': 1}, 'original_reward_sign must be True'),
    ('adroit:pen', {'original_pen_termination': 'no'}, 'original_pen_termination.*no'),
    ('adroit:pen', {'max_episode_steps': -1}, 'at least 1, got -1'),
  ],
)
def test_bad_option_is_refused(name, options, message):
  with pytest.raises(ValueError, match=message):
    make_environment(name, **options)


@pytest.mark.parametrize(
  ('space', 'message'),
  [
    (spaces.Discrete(3), 'continuous actions'),
    (spaces.MultiDiscrete([3, 3]), 'continuous actions'),
    (spaces.Box(0, 5, (2,), np.int32), 'continuous actions'),
    (spaces.Dict({'a': spaces.Box(-1, 1, (1,))}), 'continuous actions'),
    (spaces.Box(-np.inf, np.inf, (2,)), r'finite.*\[-inf, inf\] in dimension 0'),
    (spaces.Box(np.float32([-1, 2]), np.float32([1, 2])), r'\[2.0, 2.0\] in dimension'),
    (spaces.Box(-1, 1, (2, 2)), r'one non-empty vector, got shape \(2, 2\)'),
  ],
)
def test_bad_action_space_is_refused(space, message):
  with pytest.raises(ValueError, match=f"'mine'.*{message}"):
    GymnasiumEnvironment(FakeGym(action_space=space), name='mine')


@pytest.mark.parametrize(
  ('space', 'message'),
  [
    (spaces.Box(0, 255, (8, 8, 3), np.uint8), r'shape \(8, 8, 3\) and dtype uint8'),
    (spaces.Box(0, 1, (8, 8, 3)), r'flat vector of floats, got shape \(8, 8, 3\)'),
    (spaces.Box(0, 9, (2,), np.int32), 'dtype int32'),
    (spaces.Discrete(3), 'must be a Box'),
    (spaces.Dict({'a': spaces.Box(-1, 1, (1,))}), 'FlattenObservation'),
  ],
)
def test_bad_observation_space_is_refused(space, message):
  with pytest.raises(ValueError, match=f"observation space of 'mine'.*{message}"):
    GymnasiumEnvironment(FakeGym(observation_space=space), name='mine')


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_non_finite_transition_is_reported(bad):
  environment = GymnasiumEnvironment(FakeGym(observation=np.array([0.0, bad])))
  environment.reset()
  with pytest.raises(FloatingPointError, match=r'observation\[1\].*step 1'):
    environment.step(np.zeros(1))
  environment = GymnasiumEnvironment(FakeGym(reward=bad))
  environment.reset()
  with pytest.raises(FloatingPointError, match=r'reward.*step 1'):
    environment.step(np.zeros(1))


def test_action_of_another_shape_is_refused():
  environment = make_environment('gym:HalfCheetah-v4', seed=0)
  environment.reset()
  with pytest.raises(ValueError, match=r'shape \(6,\), got \(5,\)'):
    environment.step(np.zeros(5))


@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
def test_closing_twice_is_harmless(name):
  environment = make_environment(name, seed=0)
  assert isinstance(environment, dm_env.Environment)
  environment.reset()
  environment.close()
  environment.close()


def run_python(code, cwd, **variables):
  root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  return subprocess.run(
    [sys.executable, '-c', code],
    cwd=cwd,
    env=os.environ | {'PYTHONPATH': root} | variables,
    capture_output=True,
    text=True,
    timeout=120,
  )


def test_making_tasks_prints_nothing_and_loads_no_acme(tmp_path):
  code = f"""
import sys
from iq_acme.environments import make_environment
for name in {[*ONE_TASK_PER_SUITE, 'gym:Ant-v4']}:
  make_environment(name, seed=0).reset()
loaded = {{'acme', 'jax', 'tensorflow', 'reverb', 'launchpad'}} & set(sys.modules)
assert not loaded, loaded
"""
  result = run_python(code, tmp_path)
  assert (result.returncode, result.stdout, result.stderr) == (0, '', '')
  assert not list(tmp_path.iterdir())  # MuJoCo's warnings would leave MUJOCO_LOG.TXT.


def test_render_needs_a_render_mode():
  environment = make_environment('gym:HalfCheetah-v4', seed=0)
  environment.reset()
  with pytest.raises(RuntimeError, match="render_mode='rgb_array'"):
    environment.render()


def test_failure_to_render_says_which_backend_to_set(monkeypatch):
  monkeypatch.setenv('MUJOCO_GL', 'osmesa')
  environment = make_environment('gym:HalfCheetah-v4', render_mode='rgb_array')
  environment.reset()

  def fail():
    raise AttributeError('no context')

  monkeypatch.setattr(environment, '_draw', fail)
  with pytest.raises(RuntimeError, match=r"no context.*'osmesa'.*MUJOCO_GL=egl"):
    environment.render()


def test_unknown_gl_backend_is_named_at_once(tmp_path):
  code = """
from iq_acme.environments import make_environment
try:
  make_environment('gym:HalfCheetah-v4')
except RuntimeError as error:
  print(error)
"""
  result = run_python(code, tmp_path, MUJOCO_GL='nonsense')
  assert "MUJOCO_GL names the GL backend 'nonsense'" in result.stdout
  assert 'unset MUJOCO_GL' in result.stdout


@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
def test_render_gives_an_rgb_frame(name, tmp_path):
  # In its own process: the backend is chosen when mujoco is imported.
  code = f"""
from iq_acme.environments import make_environment
try:
  environment = make_environment({name!r}, seed=0, render_mode='rgb_array')
  environment.reset()
  frame = environment.render()
except RuntimeError as error:
  print('no backend:', error)
else:
  print(frame.shape, frame.dtype, frame.min() < frame.max())
"""
  result = run_python(code, tmp_path, MUJOCO_GL='egl')
  if result.stdout.startswith('no backend:'):
    pytest.skip(result.stdout)
  assert result.stdout.strip() == '(480, 480, 3) uint8 True', result.stderr
