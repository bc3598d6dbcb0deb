"""Adroit hand manipulation (door, hammer, pen, relocate) as it was published.

The tasks are those of Rajeswaran et al., "Learning Complex Dexterous Manipulation with
Deep Reinforcement Learning and Demonstrations", https://arxiv.org/abs/1709.10087. "The
original" below is their code as D4RL froze it and most papers ran it: mj_envs
(https://github.com/aravindr93/mj_envs, `redesign`, August 2019) and
https://github.com/Farama-Foundation/D4RL, `d4rl/hand_manipulation_suite`, whose rewards
are the same but for the pen (below). What runs here is gymnasium-robotics,
`AdroitHand*-v1`, with dense rewards.

Compared with the original, term by term, gymnasium-robotics 1.2.1 to 1.4.2 differs in
reward or termination as follows. Each difference is undone, and has an option:

- `original_reward_sign`: door, hammer and relocate add 0.1 * |palm - object| to the
  reward where the original subtracts it, so the hand was paid to stay away
  (https://github.com/Farama-Foundation/Gymnasium-Robotics/pull/220). The object is the
  door's handle, the hammer, the ball. The pen has no such term.
- `original_pen_termination`: the original ends the pen's episode when the pen drops,
  that is when its centre is below z = 0.075 m; here it goes on. (Both subtract 5.)
- `max_episode_steps`: the original gives the pen 100 steps; here it has 200. The other
  tasks have 200 in both.

Everything else in rewards and termination is the same: all other terms, their weights
and thresholds, the bonuses, no termination in door, hammer and relocate, frame skip 5
at 2 ms (100 Hz), actions in [-1, 1] scaled to the actuators' ranges, the actuators'
gains, the distributions of start and goal. So are observations, their order and the
models (MJCF files compared line by line; the original's `apirate`, gone, concerned
networking only).

What still differs and is left as it is: the simulator is MuJoCo 3 instead of 2.0, so
trajectories are not the same number for number; the random stream of start states is
another. The very first release of mj_envs (July 2018) had another pen: 200 steps, no
termination, 5 subtracted below z = 0.15 m, a lighter pen. `redesign` itself leaves out
the pen's bonuses unless a constant is changed; D4RL has them, and so has this module.

A uniformly random policy scores -56.8 (door), -274.0 (hammer), 96.9 (pen) and -5.4
(relocate) here, and -56.5, -274.9, 96.3 and -6.4 in D4RL's own reference scores; means
of 20 episodes (pen: 100), with standard errors of 0.1, 1.1, 26 and 1.6.

Success. The original counts an episode as a success when the goal is achieved in more
than 25 of its steps (more than 20 for the pen): `evaluate_success` in both code bases.
The goal is achieved in a step when the door is open to 1.35 rad, the nail within
0.01 m of its end, the pen within 0.075 m and with cosine 0.95 of its target, the ball
within 0.1 m of its target. gymnasium-robotics reports each step as info['success'];
later papers often count an episode in which that was true at any step, or at the last.
`episode_metrics` gives all three under separate names; compare like with like.
"""

from typing import Any

import gymnasium
import numpy as np

from iq_acme.environments import gymnasium_adapter, quiet, validation

TASKS = ('door', 'hammer', 'pen', 'relocate')

# The original's episode length, in steps.
_MAX_EPISODE_STEPS = {'door': 200, 'hammer': 200, 'pen': 100, 'relocate': 200}
# The original's success: goal achieved in more steps of an episode than this.
_SUCCESS_STEPS = {'door': 25, 'hammer': 25, 'pen': 20, 'relocate': 25}
# Weight of |palm - object| in the reward, of the original and of `AdroitHand*-v1`.
_ORIGINAL_REACH_WEIGHT = -0.1
_LIBRARY_REACH_WEIGHT = 0.1
# The pen has dropped when its centre is below this height, in metres.
_PEN_DROPPED_HEIGHT = 0.075


def make(
  task: str,
  seed: int | None,
  *,
  original_reward_sign: bool = True,
  original_pen_termination: bool = True,
  max_episode_steps: int | None = None,
  render_mode: str | None = None,
) -> gymnasium_adapter.GymnasiumEnvironment:
  """Makes an Adroit task with dense rewards, by default as originally published.

  Args:
    task: 'door', 'hammer', 'pen' or 'relocate'.
    seed: of the environment's random numbers, None for an unpredictable one.
    original_reward_sign: whether the hand's distance to the object is subtracted from
      the reward, as in the original, or added, as in gymnasium-robotics 1.4.2. Of no
      effect on the pen, whose reward has no such term.
    original_pen_termination: whether dropping the pen ends the episode. Of no effect
      on the other tasks.
    max_episode_steps: the time limit in steps; None for the original's, 100 for the
      pen and 200 for the others. gymnasium-robotics gives the pen 200.
    render_mode: None, or 'rgb_array' to be able to render.

  Raises:
    ValueError: the task is unknown or an option has a bad value.
    RuntimeError: the installed gymnasium-robotics has no `AdroitHand*-v1`.
  """
  if task not in TASKS:
    raise ValueError(
      f'task {task!r} is not an Adroit task; these are {", ".join(TASKS)}'
      + validation.close_matches(task, TASKS)
    )
  validation.check_bool('original_reward_sign', original_reward_sign)
  validation.check_bool('original_pen_termination', original_pen_termination)
  if max_episode_steps is None:
    max_episode_steps = _MAX_EPISODE_STEPS[task]
  _register_tasks()
  env_id = f'AdroitHand{task.capitalize()}-v1'
  if env_id not in gymnasium.registry:
    # '-v2' of later versions has the original sign: correcting it would flip it.
    raise RuntimeError(
      f'gymnasium-robotics has no {env_id}; install a version from 1.2.1 to 1.4.2'
    )
  env = gymnasium_adapter.make_quietly(
    env_id,
    max_episode_steps=validation.check_max_episode_steps(max_episode_steps),
    render_mode=validation.check_render_mode(render_mode),
  )
  env = AdroitTask(
    env,
    task,
    original_reward_sign=original_reward_sign,
    original_pen_termination=original_pen_termination,
  )
  return gymnasium_adapter.GymnasiumEnvironment(env, seed=seed, name=f'adroit:{task}')


class AdroitTask(gymnasium.Wrapper):
  """Undoes what gymnasium-robotics changed, and judges the episode's success."""

  def __init__(
    self,
    env: gymnasium.Env,
    task: str,
    *,
    original_reward_sign: bool,
    original_pen_termination: bool,
  ):
    super().__init__(env)
    self._success_steps = _SUCCESS_STEPS[task]
    self._corrects_reward = original_reward_sign and task != 'pen'
    self._ends_when_dropped = original_pen_termination and task == 'pen'
    # MuJoCo's own arrays: they always hold the present positions [3], in metres.
    data = env.unwrapped.data
    self._palm_position = data.site('S_grasp').xpos
    self._object_position = (
      data.site('S_handle').xpos if task == 'door' else data.body('Object').xpos
    )
    self._achieved: list[bool] = []

  def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
    self._achieved = []
    return self.env.reset(**kwargs)

  def step(
    self, action: np.ndarray
  ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
    observation, reward, terminated, truncated, info = self.env.step(action)
    self._achieved.append(bool(info['success']))
    if self._corrects_reward:
      distance = np.linalg.norm(self._palm_position - self._object_position)
      reward += (_ORIGINAL_REACH_WEIGHT - _LIBRARY_REACH_WEIGHT) * distance
    if self._ends_when_dropped:
      terminated = terminated or self._object_position[2] < _PEN_DROPPED_HEIGHT
    return observation, float(reward), bool(terminated), truncated, info

  def episode_metrics(self) -> dict[str, float]:
    """Returns 0.0 or 1.0 for each notion of success, of the episode so far.

    success: the goal was achieved in more than 25 steps (pen: 20), the original's.
    success_any_step: the goal was achieved in at least one step.
    success_last_step: the goal was achieved in the last step.
    """
    return {
      'success': float(sum(self._achieved) > self._success_steps),
      'success_any_step': float(any(self._achieved)),
      'success_last_step': float(bool(self._achieved) and self._achieved[-1]),
    }


def _register_tasks() -> None:
  # At import the library tells all users that its reward is wrong. Here it is not.
  with quiet.without_stderr_lines('AdroitHand'):
    import gymnasium_robotics  # noqa: F401
