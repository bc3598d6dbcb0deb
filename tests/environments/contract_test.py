"""The contract of make_environment, over all suites. Adroit's own: adroit_test."""

import contextlib
import warnings

import dm_env
import gymnasium
import numpy as np
import pytest
from dm_env import specs
from environment_fakes import ONE_TASK_PER_SUITE, FakeGym, run_python

from iq_acme.environments import GymnasiumEnvironment, make_environment


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
  buffer = np.zeros(2, np.float32)
  environment = GymnasiumEnvironment(FakeGym(observation=buffer))
  environment.reset()
  observation = environment.step(np.zeros(1)).observation
  buffer[:] = 1.0
  np.testing.assert_array_equal(observation, [0.0, 0.0])


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


def test_numpy_integers_are_seeds():
  starts = [
    make_environment('gym:Pendulum-v1', seed=seed).reset().observation
    for seed in (3, np.int64(3))
  ]
  np.testing.assert_array_equal(*starts)


@pytest.mark.parametrize('name', ['gym:Pendulum-v1', 'dm_control:cheetah:run'])
def test_tasks_without_metrics_of_their_own_have_none(name):
  environment = make_environment(name, seed=0)
  environment.reset()
  assert environment.episode_metrics() == {}


@pytest.mark.parametrize('name', ONE_TASK_PER_SUITE)
def test_closing_twice_is_harmless(name):
  environment = make_environment(name, seed=0)
  assert isinstance(environment, dm_env.Environment)
  environment.reset()
  environment.close()
  environment.close()


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


def test_environments_can_be_made_in_several_threads_at_once(tmp_path):
  # Two models that are compiled at once end the process now and then: without the lock
  # this failed three times in five.
  code = """
import threading
from iq_acme import make_environment

def make():
  for seed in range(60):
    make_environment('gym:HalfCheetah-v4', seed)

threads = [threading.Thread(target=make) for _ in range(8)]
for thread in threads:
  thread.start()
for thread in threads:
  thread.join()
"""
  result = run_python(code, tmp_path)
  assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
  ('name', 'rate'),
  [('gym:Hopper-v4', 125), ('adroit:door', 100), ('dm_control:cheetah:run', 100)],
)
def test_frames_are_as_many_a_second_as_the_task_has_steps(name, rate):
  with contextlib.closing(make_environment(name)) as environment:
    assert environment.frames_per_second == pytest.approx(rate)
