"""`make_environment`: from the name of a task to its environment."""

import importlib
import inspect
import threading
from collections.abc import Callable
from typing import Any

import gymnasium

from iq_acme.environments import base, modules, rendering, validation

# Suite prefix, the module whose `make` builds its tasks, and an example.
_SUITES = {
  'gym': ('gymnasium_adapter', 'gym:HalfCheetah-v4'),
  'adroit': ('adroit', 'adroit:door'),
  'dm_control': ('dm_env_adapter', 'dm_control:cheetah:run'),
  'python': ('python_adapter', 'python:my_module:make_env'),
}
# Tasks of Gymnasium's that make the environment that their option `env_id` names.
_INDIRECT = ('GymV21Environment-v0', 'GymV26Environment-v0')

# MuJoCo 3.17 compiles one model at a time: two threads that do so at once sometimes end
# the process ('libc++abi: terminating'). Actors of a local_mt program are such threads.
# A function behind python: may call `make_environment` in its turn.
_making = threading.RLock()


def make_environment(
  name: str, seed: int | None = None, **options: Any
) -> base.Environment:
  """Makes a control task as a dm_env environment.

  Args:
    name: suite and task: 'gym:HalfCheetah-v4' (any id of Gymnasium's registry with
      supported spaces), 'gym:my_package:MyEnv-v0', 'adroit:door' (hammer, pen,
      relocate), 'dm_control:cheetah:run', or a function that makes a Gymnasium or a
      dm_env environment, 'python:my_package.my_module:make_env'.
    seed: of the environment's random numbers. Two environments with one seed give one
      trajectory, over all their episodes, for one sequence of actions. None for an
      unpredictable one.
    **options: what the suite's own `make` takes. All suites:
      `render_mode='rgb_array'`, without which `render()` raises. gym and adroit:
      `max_episode_steps`. adroit: `original_reward_sign`, `original_pen_termination`
      (see `iq_acme.environments.adroit`). gym and python: the keyword arguments of the
      environment or the function.

  Returns:
    The environment: float32 observations [D], actions in the task's own bounds, float32
    [A] or int32 of any shape, np.float32 rewards and discounts, with
    `episode_metrics()`, `render()` and `close()`.

  Raises:
    ValueError: the name, the seed, an option or a space of the task is not supported;
      the message says what would be.
    RuntimeError: the task needs a package that is not installed, or MUJOCO_GL names an
      OpenGL backend that cannot be loaded.
  """
  suite, task = _split(name)
  seed = validation.check_seed(seed)
  rendering.check_backend()
  make = importlib.import_module(f'{__package__}.{_SUITES[suite][0]}').make
  _check_options(suite, make, options)
  try:
    with _making:
      return make(task, seed, **options)
  except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
    raise modules.missing(name, error) from error


def imports_code(name: str) -> bool:
  """Returns whether making the task imports a module that its name or options choose.

  So its name must come from the user, never from a file that may be a stranger's.
  """
  suite, _, task = str(name).partition(':')  # A file may hold anything.
  return suite == 'python' or (suite == 'gym' and (':' in task or task in _INDIRECT))


def _split(name: Any) -> tuple[str, str]:
  examples = ', '.join(repr(example) for _, example in _SUITES.values())
  if not isinstance(name, str):
    raise ValueError(f'name must be a string such as {examples}, got {name!r}')
  suite, colon, task = name.partition(':')
  if not colon:
    from iq_acme.environments import adroit

    guess = f'adroit:{name}' if name in adroit.TASKS else f'gym:{name}'
    raise ValueError(
      f'name {name!r} has no suite prefix; did you mean {guess!r}? Names look like '
      f'{examples}'
    )
  if suite not in _SUITES:
    raise ValueError(
      f'name {name!r} has the unknown suite {suite!r}'
      + validation.close_matches(suite, _SUITES)
      + f'. The suites are {", ".join(_SUITES)}; names look like {examples}'
    )
  return suite, task


def _check_options(
  suite: str, make: Callable[..., Any], options: dict[str, Any]
) -> None:
  parameters = inspect.signature(make).parameters.values()
  if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
    return
  known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
  for option, value in options.items():
    if option not in known:
      raise ValueError(
        f'option {option}={value!r} is unknown to the suite {suite!r}, which takes '
        + ', '.join(sorted(known))
        + validation.close_matches(option, known)
      )
