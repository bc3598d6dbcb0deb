"""What rows of the benchmark share: sizes, windows of work, tasks and their data."""

import time
from collections.abc import Callable, Generator
from typing import Any

BATCH_SIZE = 256
HIDDEN = 256
_EPISODE_LENGTH = 1_000

Row = Generator[int, float, None]


def windows(step: Callable[[], Any], sync: Callable[[], Any] = lambda: None) -> Row:
  """Repeats a step until the time is up, and waits for the device at the end."""
  count = 0
  while True:
    seconds = yield count
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
      step()
      count += 1
    sync()


def environment_and_spec(env_name: str) -> tuple[Any, Any]:
  """Makes an environment, and its specs."""
  from iq_acme import make_environment
  from iq_acme.spec_checks import make_environment_spec

  environment = make_environment(env_name, 0)
  return environment, make_environment_spec(environment)


def random_transitions(spec: Any, size: int) -> Any:
  """Returns an `update.Transition` of `size` random transitions of a task's shapes.

  Args:
    spec: an `acme.specs.EnvironmentSpec`.
    size: how many.

  Returns:
    Numpy arrays [size, ...], float32; actions within their bounds.
  """
  import numpy as np

  from iq_acme.update import Transition

  rng = np.random.default_rng(0)
  shape = (size, *spec.observations.shape)
  actions = rng.uniform(
    spec.actions.minimum, spec.actions.maximum, (size, *spec.actions.shape)
  )
  return Transition(
    rng.normal(size=shape).astype(np.float32),
    actions.astype(np.float32),
    rng.normal(size=size).astype(np.float32),
    np.ones(size, np.float32),
    rng.normal(size=shape).astype(np.float32),
  )


def fill(adder: Any, spec: Any, num_transitions: int) -> None:
  """Adds episodes of random transitions of a task's shapes.

  Args:
    adder: an `acme.adders.Adder`.
    spec: an `acme.specs.EnvironmentSpec`.
    num_transitions: how many; those of each thousand are the same thousand.
  """
  import dm_env
  import numpy as np

  data = random_transitions(spec, _EPISODE_LENGTH)
  for i in range(num_transitions):
    i %= _EPISODE_LENGTH
    if i == 0:
      adder.add_first(dm_env.restart(data.observation[i]))
    last = i == _EPISODE_LENGTH - 1
    timestep = dm_env.TimeStep(
      dm_env.StepType.LAST if last else dm_env.StepType.MID,
      data.reward[i],
      np.float32(1),
      data.next_observation[i],
    )
    adder.add(data.action[i], timestep)
