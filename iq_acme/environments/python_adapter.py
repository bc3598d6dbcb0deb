"""Environments that a function of the user's makes, wrappers and all."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import dm_env
import gymnasium

from iq_acme.environments import base, modules, validation
from iq_acme.environments.dm_env_adapter import DmEnvironment
from iq_acme.environments.gymnasium_adapter import GymnasiumEnvironment


def make(
  task: str, seed: int | None, *, render_mode: str | None = None, **options: Any
) -> base.Environment:
  """Calls a function, or a class, and adapts the environment that it returns.

  Args:
    task: where it is: 'my_package.my_module:make_env'.
    seed: passed on as `seed` if the function has a parameter of that name. A Gymnasium
      environment gets it at its first reset as well.
    render_mode: None, or 'rgb_array' to be able to render; passed on likewise.
    **options: the function's other arguments.

  Raises:
    ValueError: there is no such function, it does not take the options, or what it
      returns is not supported.
  """
  name = f'python:{task}'
  factory = _find(name, task)
  render_mode = validation.check_render_mode(render_mode)
  ours = {'seed': seed, 'render_mode': render_mode}
  parameters = inspect.signature(factory).parameters
  arguments = options | {key: value for key, value in ours.items() if key in parameters}
  try:
    env = factory(**arguments)
  except TypeError as error:
    raise ValueError(f'{name!r} cannot be made with {options}: {error}') from error
  return _adapt(name, env, seed, render_mode)


def _find(name: str, task: str) -> Callable[..., Any]:
  module, _, attribute = task.partition(':')
  if not (module and attribute):
    raise ValueError(
      f"name {name!r} must look like 'python:my_package.my_module:make_env'"
    )
  factory = getattr(modules.load(name, module), attribute, None)
  if not callable(factory):
    raise ValueError(
      f'name {name!r} must name a function of {module!r}, which has no {attribute!r} '
      'that can be called'
    )
  return factory


def _adapt(
  name: str, env: Any, seed: int | None, render_mode: str | None
) -> base.Environment:
  if isinstance(env, base.Environment):
    return env
  if isinstance(env, gymnasium.Env):
    if render_mode is not None and env.render_mode is None:
      with contextlib.suppress(Exception):
        env.close()
      raise ValueError(
        f'{name!r} made an environment that cannot be rendered; give it a parameter '
        'render_mode and pass that on'
      )
    return GymnasiumEnvironment(env, seed=seed, name=name)
  if isinstance(env, dm_env.Environment):
    return DmEnvironment(env, name=name, render_mode=render_mode)
  raise ValueError(
    f'{name!r} must return a gymnasium.Env or a dm_env.Environment, got {env!r:.200}'
  )
