"""dm_env environments, such as the control suite's, with flat observations."""

import collections
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import dm_env
import numpy as np
from dm_env import specs
from gymnasium import spaces

from iq_acme.environments import base, quiet, rendering, validation
from iq_acme.environments.observations import BadReturnError

# Height and width of a frame in pixels: that of Gymnasium's MuJoCo tasks.
FRAME_SIZE = (480, 480)


def make(
  task: str, seed: int | None, *, render_mode: str | None = None
) -> 'DmEnvironment':
  """Makes a task of the control suite.

  dm_control concatenates the parts of an observation in the order in which the task
  lists them (its `get_observation`), scalars as one number; for cheetah:run that is
  position [8], then velocity [9].

  Args:
    task: domain and task: 'cheetah:run'.
    seed: of the environment's random numbers, None for an unpredictable one.
    render_mode: None, or 'rgb_array' to be able to render.

  Raises:
    ValueError: the task is unknown or has actions without bounds, or an option has
      a bad value.
  """
  suite = _import_suite()
  names = [':'.join(domain_and_task) for domain_and_task in suite.ALL_TASKS]
  if task not in names:
    of_domain = [name for name in names if name.startswith(task.split(':')[0] + ':')]
    if of_domain:
      hint = '; this domain has ' + ', '.join(repr(name) for name in of_domain)
    else:
      hint = validation.close_matches(task, names)
    raise ValueError(
      f"task {task!r} is not in dm_control's suite (domain:task, as in 'cheetah:run')"
      + hint
    )
  domain, task_name = task.split(':')
  with quiet.loading_a_model():
    env = suite.load(
      domain,
      task_name,
      task_kwargs={'random': seed},
      environment_kwargs={'flat_observation': True},
    )
  return DmEnvironment(env, name=f'dm_control:{task}', render_mode=render_mode)


class DmEnvironment(base.Environment):
  """Adapts a dm_env environment, such as dm_control's.

  The parts of an observation are concatenated: those of a dict by sorted keys, of an
  `OrderedDict` in its order, which is dm_control's. Discounts are the environment's own:
  1 when a time limit ends an episode, and what the task says when it terminates.
  """

  def __init__(
    self,
    env: dm_env.Environment,
    *,
    name: str | None = None,
    render_mode: str | None = None,
  ):
    """Takes ownership of `env`.

    Args:
      env: the environment.
      name: the task, for messages.
      render_mode: None, or 'rgb_array' to draw `env.physics`, or what `env.render()`
        returns if it has no physics.

    Raises:
      ValueError: a spec of `env` is not supported.
    """
    name = name or str(env)
    self._env = env
    action_spec = env.action_spec()
    is_bounded = isinstance(action_spec, specs.BoundedArray)
    if not is_bounded or action_spec.dtype.kind not in 'fiu':
      raise ValueError(
        f'the action spec of {name!r} must be a BoundedArray of floats or integers, got '
        f'{action_spec}'
      )
    super().__init__(
      name,
      _to_space(env.observation_spec()),
      np.broadcast_to(action_spec.minimum, action_spec.shape),
      np.broadcast_to(action_spec.maximum, action_spec.shape),
      render_mode,
    )

  def _metrics(self) -> Any:
    return getattr(self._env, 'episode_metrics', dict)()

  @property
  def frames_per_second(self) -> float:
    if not hasattr(self._env, 'control_timestep'):
      return super().frames_per_second
    return 1 / self._env.control_timestep()

  def close(self) -> None:
    self._env.close()

  def _begin_episode(self) -> Any:
    return self._checked_timestep('reset', self._env.reset()).observation

  def _advance(self, action: np.ndarray) -> base.Transition:
    timestep = self._checked_timestep('step', self._env.step(action))
    return base.Transition(
      observation=timestep.observation,
      reward=timestep.reward,
      discount=self._checked_number('discount', timestep.discount),
      last=timestep.last(),
    )

  def _checked_timestep(self, method: str, timestep: Any) -> dm_env.TimeStep:
    if not isinstance(timestep, dm_env.TimeStep):
      raise BadReturnError(
        f'{method}() of {self._name!r} must return a dm_env.TimeStep, got '
        f'{timestep!r:.200}'
      )
    return timestep

  def _draw(self) -> np.ndarray:
    if not hasattr(self._env, 'physics'):
      return self._env.render()
    height, width = FRAME_SIZE
    with rendering.by_mujoco():
      return self._env.physics.render(height=height, width=width, camera_id=0)


def _to_space(spec: Any) -> spaces.Space:
  """Returns the space of the observations of a nest of specs."""
  if isinstance(spec, Mapping):
    names = spec if isinstance(spec, collections.OrderedDict) else sorted(spec)
    return spaces.Dict([(name, _to_space(spec[name])) for name in names])
  if isinstance(spec, (list, tuple)):
    return spaces.Tuple([_to_space(part) for part in spec])
  if isinstance(spec, specs.DiscreteArray):
    return spaces.Discrete(spec.num_values)
  dtype = np.dtype(spec.dtype)
  low, high = -np.inf, np.inf
  if dtype.kind in 'iu':
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
  elif dtype.kind == 'b':
    low, high = 0, 1
  elif dtype.kind != 'f':
    raise ValueError(f'the observation spec {spec!r} must be of numbers')
  return spaces.Box(low, high, spec.shape, dtype.type)


def _import_suite() -> ModuleType:
  with quiet.making_a_task():
    from dm_control import suite
  return suite
