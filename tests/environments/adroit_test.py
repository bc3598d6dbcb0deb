"""Adroit as published: rewards from simulator state, termination, length, success."""

import mujoco
import numpy as np
import pytest

from iq_acme.environments import make_environment


def simulator(environment):
  """MuJoCo's model and data, the ground truth that the tests compute from."""
  env = environment._env.unwrapped
  return env.model, env.data


def site(environment, name):
  model, data = simulator(environment)
  return data.site_xpos[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)]


def body(environment, name):
  model, data = simulator(environment)
  return data.xpos[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)]


def set_joint(environment, name, value):
  model, data = simulator(environment)
  data.joint(name).qpos[:] = value
  mujoco.mj_forward(model, data)


def idle(environment):
  return environment.step(np.zeros(environment.action_spec().shape, np.float32))


def distance(a, b):
  return float(np.sqrt(np.sum(np.square(a - b))))


# The reward of https://arxiv.org/abs/1709.10087 as its code has it, from the state of
# the simulator. `sign` is -1 in the original and +1 in gymnasium-robotics 1.4.2.


def door_reward(environment, sign):
  _, data = simulator(environment)
  hinge = float(data.joint('door_hinge').qpos[0])
  reach = distance(site(environment, 'S_grasp'), site(environment, 'S_handle'))
  shaped = sign * 0.1 * reach - 0.1 * (hinge - 1.57) ** 2 - 1e-5 * data.qvel @ data.qvel
  return shaped + 2 * (hinge > 0.2) + 8 * (hinge > 1.0) + 10 * (hinge > 1.35)


def hammer_reward(environment, sign):
  _, data = simulator(environment)
  hammer, head = body(environment, 'Object'), site(environment, 'tool')
  nail, goal = site(environment, 'S_target'), site(environment, 'nail_goal')
  reach = distance(site(environment, 'S_grasp'), hammer)
  to_goal = distance(nail, goal)
  shaped = sign * 0.1 * reach - distance(head, nail) - 10 * to_goal
  shaped -= 0.01 * np.sqrt(data.qvel @ data.qvel)
  lifted = hammer[2] > 0.04 and head[2] > 0.04
  return shaped + 2 * lifted + 25 * (to_goal < 0.02) + 75 * (to_goal < 0.01)


def relocate_reward(environment, sign):
  ball, target = body(environment, 'Object'), site(environment, 'target')
  palm = site(environment, 'S_grasp')
  to_target = distance(ball, target)
  reward = sign * 0.1 * distance(palm, ball)
  if ball[2] > 0.04:
    reward += 1 - 0.5 * distance(palm, target) - 0.5 * to_target
  return reward + 10 * (to_target < 0.1) + 20 * (to_target < 0.05)


def pen_reward(environment):
  pen = body(environment, 'Object')

  def direction(what):
    ends = site(environment, f'{what}_top') - site(environment, f'{what}_bottom')
    return ends / np.linalg.norm(ends)

  cosine = direction('object') @ direction('target')
  away = distance(pen, site(environment, 'eps_ball'))
  close = away < 0.075
  bonus = 10 * (close and cosine > 0.9) + 50 * (close and cosine > 0.95)
  return -away + cosine + bonus - 5 * (pen[2] < 0.075)


def at_target(environment):
  """Puts the ball of the relocate task where it should go."""
  _, data = simulator(environment)
  offset = site(environment, 'target') - body(environment, 'Object')
  for joint, shift in zip(('OBJTx', 'OBJTy', 'OBJTz'), offset):
    set_joint(environment, joint, data.joint(joint).qpos[0] + shift)


def turned_to_target(environment):
  """Puts the pen back into the hand and turns the target to where it points."""
  model, data = simulator(environment)
  data.qpos[:] = model.qpos0
  data.qvel[:] = 0
  mujoco.mj_forward(model, data)
  model.body('target').quat[:] = data.body('Object').xquat
  mujoco.mj_forward(model, data)


def set_pen_height(environment, height):
  # The pen lies on its side: its own x axis points down.
  set_joint(environment, 'OBJTx', body(environment, 'Object')[2] - height)


# Task, its reward, how to bring about a state, and bounds of the reward there, which
# show that the bonuses of that state were reached.
SIGNED_STATES = {
  'door closed': ('door', door_reward, lambda e: None, (-1, 0)),
  'door ajar': ('door', door_reward, lambda e: set_joint(e, 'door_hinge', 0.4), (1, 2)),
  'door at 1.2': (
    'door',
    door_reward,
    lambda e: set_joint(e, 'door_hinge', 1.2),
    (9, 10.1),
  ),
  'door open': (
    'door',
    door_reward,
    lambda e: set_joint(e, 'door_hinge', 1.5),
    (19, 20.1),
  ),
  'hammer down': ('hammer', hammer_reward, lambda e: None, (-3, 0)),
  'hammer up': ('hammer', hammer_reward, lambda e: set_joint(e, 'OBJTy', 0.3), (0, 2)),
  'nail near': (
    'hammer',
    hammer_reward,
    lambda e: set_joint(e, 'nail_dir', 0.077),
    (22, 25),
  ),
  'nail in': (
    'hammer',
    hammer_reward,
    lambda e: set_joint(e, 'nail_dir', 0.088),
    (97, 100),
  ),
  'ball down': ('relocate', relocate_reward, lambda e: None, (-0.1, 0.1)),
  'ball up': (
    'relocate',
    relocate_reward,
    lambda e: set_joint(e, 'OBJTz', 0.2),
    (0.3, 1),
  ),
  'ball at target': ('relocate', relocate_reward, at_target, (30, 31)),
}


@pytest.mark.parametrize(('original', 'sign'), [(True, -1), (False, 1)])
@pytest.mark.parametrize('state', SIGNED_STATES)
def test_reward_follows_from_simulator_state(state, original, sign):
  task, reward, bring_about, (low, high) = SIGNED_STATES[state]
  environment = make_environment(
    f'adroit:{task}', seed=2, original_reward_sign=original
  )
  environment.reset()
  bring_about(environment)
  timestep = idle(environment)
  assert timestep.reward == pytest.approx(reward(environment, sign), rel=1e-5, abs=1e-6)
  assert timestep.reward != pytest.approx(reward(environment, -sign), abs=1e-3)
  assert low < timestep.reward < high
  assert timestep.mid()


@pytest.mark.parametrize('task', ['door', 'hammer', 'relocate'])
def test_original_sign_is_the_default(task):
  rewards = []
  for options in ({}, {'original_reward_sign': True}, {'original_reward_sign': False}):
    environment = make_environment(f'adroit:{task}', seed=2, **options)
    environment.reset()
    rewards.append(idle(environment).reward)
  assert rewards[0] == rewards[1] < rewards[2]


@pytest.mark.parametrize('original', [True, False])
def test_pen_reward_has_no_term_with_a_sign(original):
  environment = make_environment('adroit:pen', seed=2, original_reward_sign=original)
  environment.reset()
  for bring_about, low, high in [
    (lambda e: None, -1, 1),
    (turned_to_target, 60, 61),
    (lambda e: set_pen_height(e, 0.05), -7, -4),
  ]:
    bring_about(environment)
    timestep = idle(environment)
    assert timestep.reward == pytest.approx(pen_reward(environment), rel=1e-5)
    assert low < timestep.reward < high


def test_dropped_pen_terminates():
  environment = make_environment('adroit:pen', seed=0)
  environment.reset()
  assert idle(environment).mid()
  set_pen_height(environment, 0.05)
  timestep = idle(environment)
  assert body(environment, 'Object')[2] < 0.075
  assert timestep.last()
  assert timestep.discount == 0.0


def test_pen_terminates_below_75_millimetres_and_not_above():
  for height, last in [(0.077, False), (0.074, True)]:
    environment = make_environment('adroit:pen', seed=0)
    environment.reset()
    set_pen_height(environment, height)
    assert idle(environment).last() == last


def test_dropped_pen_goes_on_without_original_termination():
  environment = make_environment('adroit:pen', seed=0, original_pen_termination=False)
  environment.reset()
  set_pen_height(environment, 0.05)
  timestep = idle(environment)
  assert body(environment, 'Object')[2] < 0.075
  assert timestep.mid()
  assert timestep.discount == 1.0


@pytest.mark.parametrize(
  ('task', 'options', 'length'),
  [
    ('door', {}, 200),
    ('hammer', {}, 200),
    ('relocate', {}, 200),
    ('pen', {}, 100),
    ('pen', {'max_episode_steps': 200}, 200),
  ],
)
def test_episode_is_truncated_at_the_original_length(task, options, length):
  environment = make_environment(f'adroit:{task}', seed=0, **options)
  timestep = environment.reset()
  num_steps = 0
  while not timestep.last():
    if task == 'pen':
      turned_to_target(environment)  # Keeps the pen in the hand.
    timestep = idle(environment)
    num_steps += 1
  assert num_steps == length
  assert timestep.discount == 1.0


@pytest.mark.parametrize('task', ['door', 'hammer', 'pen', 'relocate'])
def test_control_is_at_100_hertz(task):
  environment = make_environment(f'adroit:{task}', seed=0)
  environment.reset()
  _, data = simulator(environment)
  start = data.time
  idle(environment)
  assert data.time - start == pytest.approx(0.01)


@pytest.mark.parametrize(
  ('task', 'achieve', 'num_steps'),
  [
    ('door', lambda e: set_joint(e, 'door_hinge', 1.5), 26),
    ('hammer', lambda e: set_joint(e, 'nail_dir', 0.088), 26),
    ('relocate', at_target, 26),
    ('pen', turned_to_target, 21),
  ],
)
def test_success_needs_the_goal_for_a_quarter_second(task, achieve, num_steps):
  environment = make_environment(f'adroit:{task}', seed=0)
  environment.reset()
  for step in range(1, num_steps + 1):
    achieve(environment)
    idle(environment)
    assert environment.episode_metrics() == {
      'success': float(step == num_steps),
      'success_any_step': 1.0,
      'success_last_step': 1.0,
    }


def test_success_at_any_and_at_the_last_step_are_told_apart():
  environment = make_environment('adroit:door', seed=0)
  environment.reset()
  nothing = {'success': 0.0, 'success_any_step': 0.0, 'success_last_step': 0.0}
  assert environment.episode_metrics() == nothing
  set_joint(environment, 'door_hinge', 1.5)
  idle(environment)
  set_joint(environment, 'door_hinge', 0.0)
  idle(environment)
  assert environment.episode_metrics() == nothing | {'success_any_step': 1.0}
  environment.reset()
  assert environment.episode_metrics() == nothing


def test_metrics_of_the_whole_episode_stay_after_its_last_step():
  environment = make_environment('adroit:door', seed=0, max_episode_steps=1)
  environment.reset()
  set_joint(environment, 'door_hinge', 1.5)
  assert idle(environment).last()
  assert environment.episode_metrics()['success_any_step'] == 1.0
  assert idle(environment).first()
  assert environment.episode_metrics()['success_any_step'] == 0.0
