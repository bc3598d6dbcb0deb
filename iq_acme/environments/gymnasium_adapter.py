"""Gymnasium environments as dm_env, with termination and truncation told apart."""

import gymnasium
import numpy as np
from dm_env import specs

from iq_acme.environments import base, quiet, rendering, validation


def make(
  task: str,
  seed: int | None,
  *,
  max_episode_steps: int | None = None,
  render_mode: str | None = None,
) -> 'GymnasiumEnvironment':
  """Makes a registered Gymnasium environment.

  Args:
    task: an id of Gymnasium's registry, with its version: 'HalfCheetah-v4'.
    seed: of the environment's random numbers, None for an unpredictable one.
    max_episode_steps: replaces the time limit that the task is registered with.
    render_mode: None, or 'rgb_array' to be able to render.

  Raises:
    ValueError: the task is unknown, needs mujoco-py, or has spaces that are not
      supported; or an option has a bad value.
  """
  if task not in gymnasium.registry:
    raise ValueError(
      f"task {task!r} is not in Gymnasium's registry"
      + validation.close_matches(task, gymnasium.registry)
    )
  options = {}
  if max_episode_steps is not None:
    options['max_episode_steps'] = validation.check_max_episode_steps(max_episode_steps)
  if validation.check_render_mode(render_mode) is not None:
    options['render_mode'] = render_mode
  try:
    env = make_quietly(task, **options)
  except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
    successor = f'{task.rpartition("-")[0]}-v4'
    if not task.endswith(('-v2', '-v3')) or successor not in gymnasium.registry:
      raise
    raise ValueError(
      f'task {task!r} needs mujoco-py, which is no longer supported; the nearest task '
      f"that runs is 'gym:{successor}'"
    ) from error
  return GymnasiumEnvironment(env, seed=seed, name=f'gym:{task}')


def make_quietly(task: str, **options: object) -> gymnasium.Env:
  """Calls gymnasium.make without its advice to move on to another version."""
  with quiet.loading_a_model():
    # The checker repeats at every first step what our own specs check once.
    return gymnasium.make(task, disable_env_checker=True, **options)


class GymnasiumEnvironment(base.Environment):
  """Adapts a gymnasium.Env whose spaces are flat boxes of floats.

  Dict and Tuple observations are refused: wrap the environment in
  gymnasium.wrappers.FlattenObservation, which documents the order, and pass it here.

  Where the environment (or a wrapper around it) has a method `episode_metrics`,
  this class's `episode_metrics` returns what it returns.
  """

  def __init__(
    self, env: gymnasium.Env, *, seed: int | None = None, name: str | None = None
  ):
    """Takes ownership of `env`.

    Args:
      env: the environment; it ends its episodes itself, as by gymnasium's TimeLimit.
      seed: given to the first reset; later resets continue its random stream.
      name: the task, for messages.

    Raises:
      ValueError: a space of `env` is not supported, or `seed` is bad.
    """
    name = name or str(env)
    self._next_seed = validation.check_seed(seed)
    self._env = env
    try:
      super().__init__(
        observation_spec=_observation_spec(name, env.observation_space),
        action_spec=_action_spec(name, env.action_space),
        render_mode=env.render_mode,
      )
    except ValueError:
      env.close()
      raise

  def episode_metrics(self) -> dict[str, float]:
    if not self._env.has_wrapper_attr('episode_metrics'):
      return {}
    return self._env.get_wrapper_attr('episode_metrics')()

  def close(self) -> None:
    self._env.close()

  def _begin_episode(self) -> np.ndarray:
    observation, _ = self._env.reset(seed=self._next_seed)
    # Seeding again would make every episode the same one.
    self._next_seed = None
    return observation

  def _advance(self, action: np.ndarray) -> base.Transition:
    observation, reward, terminated, truncated, _ = self._env.step(action)
    # A task that terminates in its last allowed step has terminated.
    return base.Transition(
      observation=observation,
      reward=reward,
      discount=0.0 if terminated else 1.0,
      last=bool(terminated or truncated),
    )

  def _draw(self) -> np.ndarray:
    if hasattr(self._env.unwrapped, 'mujoco_renderer'):
      rendering.check_display()
    try:
      return self._env.render()
    except gymnasium.error.DependencyNotInstalled as error:
      raise ModuleNotFoundError(str(error)) from error


def _observation_spec(name: str, space: gymnasium.Space) -> specs.Array:
  if not isinstance(space, gymnasium.spaces.Box):
    raise ValueError(
      f'the observation space of {name!r} must be a Box, got {space}; wrap Dict and '
      'Tuple spaces in gymnasium.wrappers.FlattenObservation and pass the result to '
      'GymnasiumEnvironment'
    )
  return base.flat_observation_spec(name, space.shape, space.dtype)


def _action_spec(name: str, space: gymnasium.Space) -> specs.BoundedArray:
  if not isinstance(space, gymnasium.spaces.Box) or not np.issubdtype(
    space.dtype, np.floating
  ):
    raise ValueError(
      f'the action space of {name!r} must be a Box of floats (continuous actions), '
      f'got {space}'
    )
  return base.bounded_action_spec(name, space.low, space.high)
