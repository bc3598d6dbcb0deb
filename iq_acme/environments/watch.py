"""Which call of an environment is under way, and for how long: it may never return."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dm_env


class EnvironmentWatch:
  """Times the calls of environments that one thread makes and steps, for another one."""

  def __init__(self):
    self._call: tuple[str, float] | None = None

  def factory(
    self, make_environment: Callable[[int], dm_env.Environment]
  ) -> Callable[[int], dm_env.Environment]:
    """Watches a factory, and all environments that it makes.

    Args:
      make_environment: makes an environment from a seed.

    Returns:
      Makes the same environments, watched.
    """

    def make_watched(seed: int) -> dm_env.Environment:
      return _Watched(self.time('the constructor', make_environment, seed), self)

    return make_watched

  def time(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of an environment, and returns what it does."""
    self._call = (name, time.monotonic())
    try:
      return function(*args)
    finally:
      self._call = None

  def waits_for(self) -> tuple[str, float]:
    """Returns the call under way and its seconds so far; outside of one, '' and 0."""
    name, since = self._call or ('', time.monotonic())
    return name, time.monotonic() - since if name else 0.0


class _Watched(dm_env.Environment):
  """An environment whose calls are timed."""

  def __init__(self, environment: dm_env.Environment, watch: EnvironmentWatch):
    self._environment = environment
    self._watch = watch

  def __getattr__(self, name: str) -> Any:
    return getattr(self._environment, name)

  def reset(self) -> dm_env.TimeStep:
    return self._watch.time('reset', self._environment.reset)

  def step(self, action: Any) -> dm_env.TimeStep:
    return self._watch.time('step', self._environment.step, action)

  def close(self) -> None:
    self._watch.time('close', self._environment.close)

  def observation_spec(self) -> Any:
    return self._environment.observation_spec()

  def action_spec(self) -> Any:
    return self._environment.action_spec()

  def reward_spec(self) -> Any:
    return self._environment.reward_spec()

  def discount_spec(self) -> Any:
    return self._environment.discount_spec()


@contextlib.contextmanager
def repeating(action: Callable[[], None], seconds: float) -> Iterator[None]:
  """Calls something again and again in another thread, within the block.

  Args:
    action: what.
    seconds: between calls.
  """
  ended = threading.Event()

  def run() -> None:
    while not ended.wait(seconds):
      action()

  threading.Thread(target=run, daemon=True).start()
  try:
    yield
  finally:
    ended.set()
