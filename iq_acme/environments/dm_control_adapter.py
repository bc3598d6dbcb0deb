"""Tasks of the DeepMind Control Suite with their observations in one flat vector."""

from types import ModuleType

import dm_env
import numpy as np

from iq_acme.environments import base, quiet, rendering, validation

# Height and width of a frame in pixels: that of Gymnasium's MuJoCo tasks.
FRAME_SIZE = (480, 480)


def make(
  task: str, seed: int | None, *, render_mode: str | None = None
) -> 'DmControlEnvironment':
  """Makes a task of the control suite.

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
  return DmControlEnvironment(env, name=f'dm_control:{task}', render_mode=render_mode)


class DmControlEnvironment(base.Environment):
  """Adapts a dm_control environment that was loaded with flat observations.

  dm_control concatenates the parts of an observation in the order in which the task
  lists them (its `get_observation`), scalars as one number; for cheetah:run that is
  position [8], then velocity [9]. Discounts are dm_control's own: 1 when the time
  limit ends an episode, and what the task says when it terminates.
  """

  def __init__(
    self, env: dm_env.Environment, *, name: str, render_mode: str | None = None
  ):
    (self._key, observation_spec), *others = env.observation_spec().items()
    if others:
      raise ValueError(f'{name!r} must be loaded with flat_observation=True')
    self._env = env
    action_spec = env.action_spec()
    super().__init__(
      observation_spec=base.flat_observation_spec(
        name, observation_spec.shape, observation_spec.dtype
      ),
      action_spec=base.bounded_action_spec(
        name, action_spec.minimum, action_spec.maximum
      ),
      render_mode=render_mode,
    )

  def close(self) -> None:
    self._env.close()

  def _begin_episode(self) -> np.ndarray:
    return self._env.reset().observation[self._key]

  def _advance(self, action: np.ndarray) -> base.Transition:
    timestep = self._env.step(action)
    return base.Transition(
      observation=timestep.observation[self._key],
      reward=timestep.reward,
      discount=timestep.discount,
      last=timestep.last(),
    )

  def _draw(self) -> np.ndarray:
    rendering.check_display()
    height, width = FRAME_SIZE
    return self._env.physics.render(height=height, width=width, camera_id=0)


def _import_suite() -> ModuleType:
  with quiet.making_a_task():
    from dm_control import suite
  return suite
