"""What every task offers its user: dm_env, plus frames and metrics of the episode."""

import abc
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import dm_env
import gymnasium
import numpy as np
from dm_env import specs

from iq_acme.environments import validation
from iq_acme.environments.actions import OwnActions
from iq_acme.environments.observations import BadReturnError, FlatObservations

# What logs and evaluations say of every episode, under these names.
_TAKEN = (
  *('actor', 'actor_steps', 'learner_steps', 'training_seconds'),
  *('episode_return', 'episode_length', 'initial_value', 'discounted_return'),
  *('return_mean', 'return_std', 'return_min', 'return_max'),
)
_LARGEST = float(np.finfo(np.float32).max)


class Transition(NamedTuple):
  """What one step of a suite's environment led to.

  Attributes:
    observation: of the suite's own space.
    reward: a number, if the suite keeps to its API.
    discount: a finite number; 0 if the episode terminated, so that nothing is bootstrapped.
    last: whether the episode ended, by termination or by its time limit.
  """

  observation: Any
  reward: Any
  discount: Any
  last: bool


class Environment(dm_env.Environment):
  """A control task with flat float32 observations and bounded actions.

  Observations are float32 arrays [D], actions float32 arrays [A] in the task's own
  bounds, or its integers as int32 of any shape; rewards and discounts are np.float32
  scalars. Termination gives LAST with discount 0; a time limit gives LAST with discount
  1, so that a learner bootstraps from the last state.

  This is the border to foreign code. The suite's environment gets each action in its
  own dtype, within its own bounds, in an array that is its to keep; what it returns is
  copied, and refused if it does not fit what it declares.

  A subclass adapts one suite: it passes the spaces to `__init__` and implements
  `_begin_episode`, `_advance`, `_draw`, and `_metrics` if the suite has any.
  """

  def __init__(
    self,
    name: str,
    observation_space: gymnasium.Space,
    action_minimum: np.ndarray,
    action_maximum: np.ndarray,
    render_mode: str | None = None,
  ):
    """Makes the specs.

    Args:
      name: the task, for messages.
      observation_space: what the suite's environment returns.
      action_minimum: in the shape and dtype that it takes actions in.
      action_maximum: likewise.
      render_mode: None, or 'rgb_array' to be able to render.

    Raises:
      ValueError: a space is not supported, or `render_mode` is another one.
    """
    self._name = name
    self._flatten = FlatObservations(name, observation_space)
    self._own_action = OwnActions(name, action_minimum, action_maximum)
    self._render_mode = validation.check_render_mode(render_mode)
    self._zeros = np.zeros(self._flatten.spec.shape, np.float32)
    self._metric_names: set[str] | None = None
    self._needs_reset = True
    self._episode_length = 0

  def reset(self) -> dm_env.TimeStep:
    """Starts an episode and returns its first time step.

    Raises:
      BadReturnError: the suite's environment returned what it does not declare.
      FloatingPointError: it returned a NaN or infinite observation.
    """
    self._needs_reset = False
    self._episode_length = 0
    return dm_env.restart(self._checked_observation(self._begin_episode()))

  def step(self, action: np.ndarray) -> dm_env.TimeStep:
    """Takes one step; after an episode's last step, starts the next one instead.

    Args:
      action: as `action_spec()` says; what lies outside its bounds is set to them.

    Raises:
      ValueError: `action` is of another shape, has a NaN, or floats for integers.
      BadReturnError: the suite's environment returned what it does not declare.
      FloatingPointError: it returned a NaN or infinite observation, reward or discount.
    """
    if self._needs_reset:
      return self.reset()
    transition = self._advance(self._own_action(action))
    self._episode_length += 1
    self._needs_reset = transition.last
    return dm_env.TimeStep(
      step_type=dm_env.StepType.LAST if transition.last else dm_env.StepType.MID,
      reward=self._checked_number('reward', transition.reward),
      discount=np.float32(transition.discount),
      observation=self._checked_observation(transition.observation),
    )

  def observation_spec(self) -> specs.Array:
    return self._flatten.spec

  def action_spec(self) -> specs.BoundedArray:
    return self._own_action.spec

  def reward_spec(self) -> specs.Array:
    return specs.Array((), np.float32, name='reward')

  def discount_spec(self) -> specs.BoundedArray:
    return specs.BoundedArray((), np.float32, 0.0, 1.0, name='discount')

  def episode_metrics(self) -> dict[str, float]:
    """Returns the task's own measures of the episode so far, beside its return.

    They are those of the whole episode after its last step and until the next reset.
    The keys are the same at every call. Empty if the task has none.

    Raises:
      BadReturnError: the suite's environment returned anything but numbers by name.
    """
    metrics = self._metrics()
    which = f'episode_metrics() of {self._name!r} must return'
    if not isinstance(metrics, Mapping):
      raise BadReturnError(f'{which} a dict of numbers by name, got {metrics!r:.200}')
    for name, value in metrics.items():
      if not isinstance(name, str) or not name.isprintable() or name in ('', *_TAKEN):
        raise BadReturnError(
          f'{which} names that are words and none of {", ".join(_TAKEN)}, got {name!r}'
        )
      if np.asarray(value, object).shape or np.asarray(value).dtype.kind not in 'biuf':
        raise BadReturnError(f'{which} one number for {name!r}, got {value!r:.200}')
    names = set(metrics)
    if self._metric_names is None:
      self._metric_names = names
    if names != self._metric_names:
      raise BadReturnError(
        f'{which} the same names at every call, {sorted(self._metric_names)}, got '
        f'{sorted(names)}'
      )
    return {name: float(value) for name, value in metrics.items()}

  @property
  def frames_per_second(self) -> float:
    """The steps of a second of the task's own time; 30 if it does not tell."""
    return 30.0

  def render(self) -> np.ndarray:
    """Returns the present state as an RGB frame, uint8 [H, W, 3].

    Raises:
      RuntimeError: the environment was made without render_mode='rgb_array', or MuJoCo
        cannot draw the frame, as without an OpenGL backend.
      BadReturnError: the suite's environment returned no RGB frame.
      ModuleNotFoundError: drawing needs a Python package that is not installed.
    """
    if self._render_mode is None:
      raise RuntimeError(
        "this environment cannot be rendered: make it with render_mode='rgb_array'"
      )
    frame = self._draw()
    array = np.asarray(frame)
    if array.dtype.kind not in 'iu' or array.ndim != 3 or array.shape[2] != 3:
      raise BadReturnError(
        f'render() of {self._name!r} must return an RGB frame, uint8 [H, W, 3], got '
        f'{type(frame).__name__} {array.dtype.name}{list(array.shape)}'
      )
    return array.astype(np.uint8)

  def _metrics(self) -> Any:
    """Returns what the suite's environment measures, see `episode_metrics`."""
    return {}

  @abc.abstractmethod
  def _begin_episode(self) -> Any:
    """Resets the suite's environment and returns the observation."""

  @abc.abstractmethod
  def _advance(self, action: np.ndarray) -> Transition:
    """Takes one step with the action, which the suite's environment may keep."""

  @abc.abstractmethod
  def _draw(self) -> np.ndarray:
    """Returns an RGB frame, uint8 [H, W, 3]."""

  def _checked_number(self, field: str, value: Any) -> np.float32:
    if not isinstance(value, float):
      array = np.asarray(value)
      if array.shape != () or array.dtype.kind not in 'biuf':
        raise BadReturnError(
          f'{field} of {self._name!r} must be one number, got {value!r:.200}'
        )
    if not -_LARGEST <= value <= _LARGEST:
      raise FloatingPointError(
        f'{field} of {self._name!r} must be a finite float32, got {value} at step '
        f'{self._episode_length} of an episode'
      )
    return np.float32(value)

  def _checked_observation(self, observation: Any) -> np.ndarray:
    flat = self._flatten(observation)
    # Zero times NaN or infinity is NaN. Faster than np.isfinite(flat).all().
    if math.isnan(self._zeros.dot(flat)):
      index = int(np.argmin(np.isfinite(flat)))
      raise FloatingPointError(
        f'observation[{index}] of {self._name!r} must be a finite float32, got '
        f'{flat[index]} at step {self._episode_length} of an episode'
      )
    return flat
