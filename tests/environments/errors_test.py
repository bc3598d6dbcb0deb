"""What a user can get wrong with an environment, and frames that cannot be drawn."""

import sys

import gymnasium
import numpy as np
import pytest
from environment_fakes import ONE_TASK_PER_SUITE, FakeGym, run_python
from gymnasium import spaces

from iq_acme.environments import (
  BadReturnError,
  GymnasiumEnvironment,
  make_environment,
)


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
    ('gym:AdroitHandDoor-v1', "is made as 'adroit:door'"),
    ('gym:AdroitHandDoorSparse-v1', "is made as 'adroit:door'"),
    ('gym:FetchReach-v4', "'gym:gymnasium_robotics:FetchReach-v4'"),
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
    (spaces.Dict({'a': spaces.Box(-1, 1, (1,))}), 'Discrete, MultiDiscrete or Multi'),
    (spaces.Text(3), 'a Box of numbers, Discrete'),
    (spaces.Box(0, 1, (2,), np.bool_), 'a Box of numbers, Discrete'),
    (spaces.Box(0, 2**31 - 1, (2,), np.int32), r'within 16,777,216 of 0.*\[0, 21474'),
    (spaces.Discrete(3, start=2**24), r'\[16777216, 16777218\] in dimension 0'),
    (spaces.Box(0, 1, (2, 0), np.int32), r'must have elements, got shape \(2, 0\)'),
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
    (spaces.Box(0, 255, (32, 32, 3), np.uint8), r'an image of shape \(32, 32, 3\)'),
    (spaces.Box(0, 1, (3, 84, 84)), r'an image of shape \(3, 84, 84\)'),
    (spaces.Box(0, 9, (4097,), np.int32), '4,097 numbers; of integers at most 4,096'),
    (spaces.Discrete(4097), 'at most 4,096'),
    (spaces.Text(3), 'Box and Discrete spaces.*Text'),
    (spaces.Dict({'a': spaces.Tuple([spaces.Text(3)])}), r"at \['a'\]\[0\],.*Text"),
    (spaces.Box(-1, 1, (0,)), 'no elements'),
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


def test_render_needs_a_render_mode():
  environment = make_environment('gym:HalfCheetah-v4', seed=0)
  environment.reset()
  with pytest.raises(RuntimeError, match="render_mode='rgb_array'"):
    environment.render()


@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
@pytest.mark.parametrize('backend', [None, 'glfw'])
def test_rendering_without_a_display_says_what_to_set(name, backend, monkeypatch):
  environment = make_environment(name, seed=0, render_mode='rgb_array')
  environment.reset()
  for variable in ('DISPLAY', 'WAYLAND_DISPLAY', 'MUJOCO_GL'):
    monkeypatch.delenv(variable, raising=False)
  if backend:
    monkeypatch.setenv('MUJOCO_GL', backend)
  monkeypatch.setattr(sys, 'platform', 'linux')
  with pytest.raises(
    RuntimeError, match=r"no display.*'glfw'.*set MUJOCO_GL=egl.*osmesa"
  ):
    environment.render()


def test_failing_backend_is_named(monkeypatch):
  env, environment = _drawn_by(lambda: env.no_such_context)
  monkeypatch.setenv('MUJOCO_GL', 'osmesa')
  with pytest.raises(AttributeError, match='no_such_context'):  # Its own mistake.
    environment.render()
  env.mujoco_renderer = 'MuJoCo'
  with pytest.raises(RuntimeError, match=r"no_such_context.*'osmesa'.*MUJOCO_GL=egl"):
    environment.render()


@pytest.mark.parametrize('frame', [None, np.ones((8, 8, 3)), np.ones((8, 8), np.uint8)])
def test_what_is_no_frame_is_refused(frame):
  _, environment = _drawn_by(lambda: frame)
  with pytest.raises(
    BadReturnError, match=rf'uint8 \[H, W, 3\], got {type(frame).__name__}'
  ):
    environment.render()


def test_missing_package_for_rendering_is_not_blamed_on_the_backend():
  def fail():
    raise gymnasium.error.DependencyNotInstalled('pygame is not installed')

  _, environment = _drawn_by(fail)
  with pytest.raises(ModuleNotFoundError, match='pygame is not installed'):
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


def test_render_gives_rgb_frames(tmp_path):
  # In its own process: the backend is chosen when mujoco is imported.
  code = f"""
from iq_acme.environments import make_environment
for name in {ONE_TASK_PER_SUITE}:
  environment = make_environment(name, seed=0, render_mode='rgb_array')
  environment.reset()
  try:
    frame = environment.render()
  except RuntimeError as error:
    print('no backend:', error)
    break
  print(frame.shape, frame.dtype, frame.min() < frame.max())
"""
  result = run_python(code, tmp_path, MUJOCO_GL='egl')
  # Without EGL the import of mujoco or the first frame fails, and our error says so.
  if 'no backend:' in result.stdout or "GL backend 'egl'" in result.stderr:
    pytest.skip('no EGL: ' + result.stdout + result.stderr)
  assert result.stdout.splitlines() == ['(480, 480, 3) uint8 True'] * len(
    ONE_TASK_PER_SUITE
  ), result.stderr


def _drawn_by(render):
  env = FakeGym()
  env.render_mode, env.render = 'rgb_array', render
  environment = GymnasiumEnvironment(env)
  environment.reset()
  return env, environment
