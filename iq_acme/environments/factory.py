"""`make_environment`: from the name of a task to its environment."""

import importlib
import inspect
import threading
from collections.abc import Callable
from typing import Any

from iq_acme.environments import base, rendering, validation

# Suite prefix, the module whose `make` builds its tasks, and an example.
_SUITES = {
  'gym': ('gymnasium_adapter', 'gym:HalfCheetah-v4'),
  'adroit': ('adroit', 'adroit:door'),
  'dm_control': ('dm_control_adapter', 'dm_control:cheetah:run'),
}

# MuJoCo 3.17 compiles one model at a time: two threads that do so at once sometimes end
# the process ('libc++abi: terminating'). Actors of a local_mt program are such threads.
_making = threading.Lock()


def make_environment(
  name: str, seed: int | None = None, **options: Any
) -> base.Environment:
  """Makes a control task as a dm_env environment.

  Args:
    name: suite and task: 'gym:HalfCheetah-v4' (any id of Gymnasium's registry with
      flat observations and continuous actions), 'adroit:door' (hammer, pen,
      relocate), 'dm_control:cheetah:run'.
    seed: of the environment's random numbers. Two environments with one seed give one
      trajectory, over all their episodes, for one sequence of actions. None for an
      unpredictable one.
    **options: what the suite's own `make` takes. All suites:
      `render_mode='rgb_array'`, without which `render()` raises. gym and adroit:
      `max_episode_steps`. adroit: `original_reward_sign`, `original_pen_termination`
      (see `iq_acme.environments.adroit`).

  Returns:
    The environment: float32 observations [D] and actions [A] in the task's own
    bounds, np.float32 rewards and discounts, with `episode_metrics()`, `render()` and
    `close()`.

  Raises:
    ValueError: the name, the seed, an option or a space of the task is not supported;
      the message says what would be.
    RuntimeError: MUJOCO_GL names an OpenGL backend that cannot be loaded.
  """
  suite, task = _split(name)
  seed = validation.check_seed(seed)
  rendering.check_backend()
  make = importlib.import_module(f'{__package__}.{_SUITES[suite][0]}').make
  _check_options(suite, make, options)
  with _making:
    return make(task, seed, **options)


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
  known = [
    parameter.name
    for parameter in inspect.signature(make).parameters.values()
    if parameter.kind is parameter.KEYWORD_ONLY
  ]
  for option, value in options.items():
    if option not in known:
      raise ValueError(
        f'option {option}={value!r} is unknown to the suite {suite!r}, which takes '
        + ', '.join(sorted(known))
        + validation.close_matches(option, known)
      )
