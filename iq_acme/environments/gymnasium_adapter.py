"""Gymnasium environments as dm_env, with termination and truncation told apart."""

import contextlib
import inspect
from typing import Any

import gymnasium
import numpy as np

from iq_acme.environments import (
  actions,
  base,
  modules,
  quiet,
  rendering,
  validation,
)
from iq_acme.environments.observations import BadReturnError

# What gymnasium-robotics registers, but for Adroit's hand.
_ROBOTICS = ('Fetch', 'HandReach', 'HandManipulate', 'AntMaze', 'PointMaze', 'Franka')
# Where environments that reset themselves in the last step of an episode leave the
# observation that it ended with.
_FINAL_OBSERVATIONS = ('final_observation', 'final_obs')


def make(
  task: str,
  seed: int | None,
  *,
  max_episode_steps: int | None = None,
  render_mode: str | None = None,
  **options: Any,
) -> 'GymnasiumEnvironment':
  """Makes a registered Gymnasium environment.

  Args:
    task: an id of Gymnasium's registry, with its version: 'HalfCheetah-v4'. One that a
      package registers when it is imported stands behind that: 'my_package:MyEnv-v0'.
    seed: of the environment's random numbers, None for an unpredictable one.
    max_episode_steps: replaces the time limit that the task is registered with.
    render_mode: None, or 'rgb_array' to be able to render.
    **options: the environment's own keyword arguments.

  Raises:
    ValueError: the task is unknown, needs mujoco-py, or has spaces that are not
      supported; or an option is unknown or has a bad value.
  """
  module, _, env_id = task.rpartition(':')
  if module:
    modules.load(f'gym:{task}', module)
  else:
    _check_is_not_of_robotics(env_id)
  if env_id not in gymnasium.registry:
    raise ValueError(
      f"task {task!r} is not in Gymnasium's registry"
      + validation.close_matches(env_id, gymnasium.registry)
      + ('' if module else "; those of your own package are 'gym:my_package:MyEnv-v0'")
    )
  if max_episode_steps is not None:
    options['max_episode_steps'] = validation.check_max_episode_steps(max_episode_steps)
  if validation.check_render_mode(render_mode) is not None:
    options['render_mode'] = render_mode
  try:
    env = make_quietly(env_id, **options)
  except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
    successor = f'{task.rpartition("-")[0]}-v4'
    if not task.endswith(('-v2', '-v3')) or successor not in gymnasium.registry:
      raise
    raise ValueError(
      f'task {task!r} needs mujoco-py, which is no longer supported; the nearest task '
      f"that runs is 'gym:{successor}'"
    ) from error
  except TypeError as error:
    raise _bad_options(task, options, error) from error
  return GymnasiumEnvironment(env, seed=seed, name=f'gym:{task}')


def make_quietly(task: str, **options: object) -> gymnasium.Env:
  """Calls gymnasium.make without its advice to move on to another version."""
  with quiet.loading_a_model():
    # The checker repeats at every first step what our own specs check once.
    return gymnasium.make(task, disable_env_checker=True, **options)


class GymnasiumEnvironment(base.Environment):
  """Adapts a gymnasium.Env with any supported actions and observations.

  Actions are those of a Box, Discrete, MultiDiscrete or MultiBinary in its own units;
  observations are flattened, see `observations.FlatObservations`. If the environment
  (or a wrapper around it) has a method `episode_metrics`, this class's
  `episode_metrics` returns what it returns.
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
      ValueError: `env` is no gymnasium.Env, its reset takes no seed, a space of it is
        not supported, or `seed` is bad.
    """
    if not isinstance(env, gymnasium.Env):
      raise ValueError(f'env must be a gymnasium.Env, got {type(env)}: {env!r:.200}')
    name = name or str(env)
    self._next_seed = validation.check_seed(seed)
    self._env = env
    try:
      _check_reset(name, env)
      bounds = actions.bounds_of_space(name, env.action_space)
      super().__init__(name, env.observation_space, *bounds, env.render_mode)
    except ValueError:
      # What is refused may be unfit to close, too.
      with contextlib.suppress(Exception):
        env.close()
      raise

  def _metrics(self) -> Any:
    if not self._env.has_wrapper_attr('episode_metrics'):
      return {}
    return self._env.get_wrapper_attr('episode_metrics')()

  @property
  def frames_per_second(self) -> float:
    return self._env.metadata.get('render_fps') or super().frames_per_second

  def close(self) -> None:
    self._env.close()

  def _begin_episode(self) -> Any:
    result = self._env.reset(seed=self._next_seed)
    if not (
      isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
    ):
      raise BadReturnError(
        f'reset() of {self._name!r} must return (observation, info), got '
        f'{result!r:.200}; environments of the old Gym returned the observation alone'
      )
    # Seeding again would make every episode the same one.
    self._next_seed = None
    return result[0]

  def _advance(self, action: np.ndarray) -> base.Transition:
    result = self._env.step(action)
    if not (
      isinstance(result, tuple) and len(result) == 5 and isinstance(result[4], dict)
    ):
      raise BadReturnError(
        f'step() of {self._name!r} must return (observation, reward, terminated, '
        f'truncated, info), got {result!r:.200}; environments of the old Gym returned '
        'one "done" for both ends'
      )
    observation, reward, terminated, truncated, info = result
    # Quick for the bools that nearly all environments return.
    if terminated is not False and terminated is not True:
      self._check_flag('terminated', terminated)
    if truncated is not False and truncated is not True:
      self._check_flag('truncated', truncated)
    last = bool(terminated or truncated)
    if last:
      for key in _FINAL_OBSERVATIONS:
        if info.get(key) is not None:
          observation = info[key]
    # A task that terminates in its last allowed step has terminated.
    return base.Transition(
      observation=observation,
      reward=reward,
      discount=0.0 if terminated else 1.0,
      last=last,
    )

  def _check_flag(self, field: str, value: Any) -> None:
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in 'biu':
      raise BadReturnError(
        f'{field} of {self._name!r} must be True or False, got {value!r:.200}'
      )

  def _draw(self) -> np.ndarray:
    is_mujoco = hasattr(self._env.unwrapped, 'mujoco_renderer')
    try:
      with rendering.by_mujoco() if is_mujoco else contextlib.nullcontext():
        return self._env.render()
    except gymnasium.error.DependencyNotInstalled as error:
      raise ModuleNotFoundError(str(error)) from error


def _check_reset(name: str, env: gymnasium.Env) -> None:
  """Refuses a reset of the old Gym, also below wrappers that pass the seed on."""
  layer = env
  while True:
    try:
      signature = inspect.signature(layer.reset)
    except ValueError:  # Compiled code has none.
      return
    parameters = signature.parameters.values()
    if not any(p.name == 'seed' or p.kind is p.VAR_KEYWORD for p in parameters):
      raise ValueError(
        f'reset of {name!r} must take a seed, as in reset(self, *, seed=None, '
        f'options=None), got {type(layer).__name__}.reset{signature}'
      )
    if not isinstance(layer, gymnasium.Wrapper):
      return
    layer = layer.env


def _check_is_not_of_robotics(env_id: str) -> None:
  # They are registered or not, by what else the process has imported.
  if env_id.startswith('AdroitHand'):
    task = env_id.removeprefix('AdroitHand').partition('-')[0].removesuffix('Sparse')
    raise ValueError(
      f"task {env_id!r} is made as 'adroit:{task.lower()}', with the rewards that were "
      f"published; 'gym:gymnasium_robotics:{env_id}' is the one of the library"
    )
  if env_id.startswith(_ROBOTICS):
    raise ValueError(
      f"task {env_id!r} is of gymnasium-robotics: 'gym:gymnasium_robotics:{env_id}'; "
      'its Fetch, Hand and Franka tasks work with MuJoCo 3.2.7, not with 3.17'
    )


def _bad_options(task: str, options: dict[str, Any], error: TypeError) -> ValueError:
  own = ('max_episode_steps', 'render_mode')
  hints = (validation.close_matches(option, own) for option in options)
  return ValueError(
    f'task {task!r} cannot be made with {options}: {error}; beside its own arguments '
    f'it takes {", ".join(own)}' + ''.join(hints)
  )
