"""What every task offers its user: dm_env, plus frames and metrics of the episode."""

import abc
from typing import Any, NamedTuple

import dm_env
import numpy as np
from dm_env import specs

from iq_acme.environments import rendering, validation


class Transition(NamedTuple):
  """What one step of a suite's environment led to.

  Attributes:
    observation: array [D].
    reward: scalar.
    discount: scalar; 0 where the episode terminated, so that nothing is bootstrapped.
    last: whether the episode ended, by termination or by its time limit.
  """

  observation: Any
  reward: Any
  discount: Any
  last: bool


class Environment(dm_env.Environment):
  """A continuous control task with flat float32 observations and bounded actions.

  Observations are float32 arrays [D], actions float32 arrays [A] in the task's own
  bounds, rewards and discounts np.float32 scalars. Termination gives LAST with
  discount 0; a time limit gives LAST with discount 1, so that a learner bootstraps
  from the last state.

  A subclass adapts one suite: it passes the specs to `__init__` and implements
  `_begin_episode`, `_advance` and `_draw`.
  """

  def __init__(
    self,
    *,
    observation_spec: specs.Array,
    action_spec: specs.BoundedArray,
    render_mode: str | None = None,
  ):
    self._observation_spec = observation_spec
    self._action_spec = action_spec
    self._render_mode = validation.check_render_mode(render_mode)
    self._needs_reset = True
    self._episode_length = 0

  def reset(self) -> dm_env.TimeStep:
    """Starts an episode and returns its first time step."""
    self._needs_reset = False
    self._episode_length = 0
    return dm_env.restart(self._checked_observation(self._begin_episode()))

  def step(self, action: np.ndarray) -> dm_env.TimeStep:
    """Takes one step; after an episode's last step, starts the next one instead.

    Args:
      action: [A], in the bounds of `action_spec()`.

    Raises:
      ValueError: `action` is not of shape [A].
      FloatingPointError: the simulation gave a NaN or infinite observation or reward.
    """
    if self._needs_reset:
      return self.reset()
    action = np.asarray(action, self._action_spec.dtype)
    if action.shape != self._action_spec.shape:
      raise ValueError(
        f'action must have shape {self._action_spec.shape}, got {action.shape}'
      )
    transition = self._advance(action)
    self._episode_length += 1
    self._needs_reset = transition.last
    reward = np.float32(transition.reward)
    if not np.isfinite(reward):
      raise FloatingPointError(
        f'reward is {reward} at step {self._episode_length} of an episode'
      )
    return dm_env.TimeStep(
      step_type=dm_env.StepType.LAST if transition.last else dm_env.StepType.MID,
      reward=reward,
      discount=np.float32(transition.discount),
      observation=self._checked_observation(transition.observation),
    )

  def observation_spec(self) -> specs.Array:
    return self._observation_spec

  def action_spec(self) -> specs.BoundedArray:
    return self._action_spec

  def reward_spec(self) -> specs.Array:
    return specs.Array((), np.float32, name='reward')

  def discount_spec(self) -> specs.BoundedArray:
    return specs.BoundedArray((), np.float32, 0.0, 1.0, name='discount')

  def episode_metrics(self) -> dict[str, float]:
    """Returns the task's own measures of the episode so far, beside its return.

    They are those of the whole episode after its last step and until the next reset.
    The keys are the same at every call. Empty where the task has none.
    """
    return {}

  def render(self) -> np.ndarray:
    """Returns the present state as an RGB frame, uint8 [H, W, 3].

    Raises:
      RuntimeError: the environment was made without render_mode='rgb_array', or the
        frame cannot be drawn, as without an OpenGL backend.
      ModuleNotFoundError: drawing needs a Python package that is not installed.
    """
    if self._render_mode is None:
      raise RuntimeError(
        "this environment cannot be rendered: make it with render_mode='rgb_array'"
      )
    try:
      frame = self._draw()
    except ModuleNotFoundError:
      # A missing Python package, not a missing backend.
      raise
    except Exception as error:
      raise rendering.gl_error('The frame cannot be drawn', error) from error
    return np.asarray(frame, np.uint8)

  @abc.abstractmethod
  def _begin_episode(self) -> np.ndarray:
    """Resets the suite's environment and returns the observation [D]."""

  @abc.abstractmethod
  def _advance(self, action: np.ndarray) -> Transition:
    """Takes one step with the action [A]."""

  @abc.abstractmethod
  def _draw(self) -> np.ndarray:
    """Returns an RGB frame, uint8 [H, W, 3]."""

  def _checked_observation(self, observation: Any) -> np.ndarray:
    # Always a copy: suites reuse their buffers, and replay keeps what it is given.
    observation = np.array(observation, self._observation_spec.dtype)
    finite = np.isfinite(observation)
    if not finite.all():
      index = int(np.argmin(finite))
      raise FloatingPointError(
        f'observation[{index}] is {observation[index]} at step '
        f'{self._episode_length} of an episode'
      )
    return observation


def flat_observation_spec(name: str, shape: tuple[int, ...], dtype: Any) -> specs.Array:
  """Returns the float32 spec of an observation that must be a vector of floats.

  Raises:
    ValueError: the suite's observations are pixels, integers or not flat.
  """
  if len(shape) != 1 or not np.issubdtype(dtype, np.floating):
    raise ValueError(
      f'the observation space of {name!r} must be one flat vector of floats, got '
      f'shape {shape} and dtype {np.dtype(dtype).name}; pixels and integers are not '
      'supported'
    )
  return specs.Array(shape, np.float32, name='observation')


def bounded_action_spec(
  name: str, minimum: np.ndarray, maximum: np.ndarray
) -> specs.BoundedArray:
  """Returns the float32 spec of an action with the task's own bounds.

  Args:
    name: the task, for messages.
    minimum: [A].
    maximum: [A].

  Raises:
    ValueError: the action is no vector, or a bound is not finite or not below its
      maximum: such an interval has no distinct values to choose from.
  """
  minimum, maximum = np.float32(minimum), np.float32(maximum)
  if minimum.ndim != 1 or minimum.size == 0:
    raise ValueError(
      f'the action space of {name!r} must be one non-empty vector, got shape '
      f'{minimum.shape}'
    )
  for i, (low, high) in enumerate(zip(minimum, maximum)):
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
      raise ValueError(
        f'the action space of {name!r} must have finite bounds with minimum < maximum '
        f'in every dimension, got [{low}, {high}] in dimension {i}'
      )
  return specs.BoundedArray(minimum.shape, np.float32, minimum, maximum, name='action')
