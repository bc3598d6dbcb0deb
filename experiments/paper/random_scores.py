"""Measures what uniformly random actions return, the zero of the paper's scores.

  python -m experiments.paper.random_scores

Writes experiments/results/random_scores.json: for each task of the paper's suites the
mean return and its standard error, the environment's id, and the versions it ran on.
Tasks that are in the file already are measured again only if named.
"""

import contextlib
import math
import os
import sys
from typing import Any

import numpy as np

from experiments import RESULTS
from experiments.paper.settings import TASKS
from iq_acme import make_environment, seeding
from iq_acme.commands import parsing
from iq_acme.episodes import Actor, run_episodes, summarize
from iq_acme.spec_checks import is_integer
from iq_acme.storage import files
from iq_acme.training import versions

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
PATH = str(RESULTS / 'random_scores.json')
_define.list('random_tasks', [], 'Tasks; unset: those not in the file yet.')
_define.integer('random_episodes', 100, 'Episodes of each task.', lower_bound=2)
_define.integer('random_seed', 0, 'Seed of episodes and actions.', lower_bound=0)
_define.string('random_output', PATH, 'File to write or to add to.')
_PACKAGES = ('gymnasium', 'gymnasium-robotics', 'mujoco', 'numpy')


class UniformActor(Actor):
  """Takes actions uniformly within their bounds, of integers the bounds themselves too."""

  def __init__(self, action_spec: Any, seed: int):
    self._spec = action_spec
    self._rng = np.random.default_rng(seed)

  def select_action(self, observation: Any) -> Any:
    spec = self._spec
    if is_integer(spec):
      bounds = spec.minimum, spec.maximum
      return self._rng.integers(*bounds, spec.shape, spec.dtype, endpoint=True)
    return self._rng.uniform(spec.minimum, spec.maximum, spec.shape).astype(spec.dtype)


def main() -> None:
  """Measures the tasks that the flags name."""
  with parsing.refusing(files.DamagedFileError):
    known = files.read_json(FLAGS.random_output) or {}
  # Before anything is written, which would mark the commit as changed.
  collected = versions.collect_versions()
  tasks = FLAGS.random_tasks or [task for task in TASKS if task not in known]
  for task in tasks:
    with parsing.refusing(ValueError, RuntimeError):
      entry = measure(task, FLAGS.random_episodes, FLAGS.random_seed)
    known[task] = {
      **entry,
      'command': collected['command'],
      'commit': collected['commit'],
      'packages': {name: collected['packages'][name] for name in _PACKAGES},
    }
    print(
      f'{task:<20} {entry["return_mean"]:10.2f} ± {entry["standard_error"]:.2f} '
      f'({entry["episodes"]} episodes)',
      flush=True,
    )
    os.makedirs(os.path.dirname(os.path.abspath(FLAGS.random_output)), exist_ok=True)
    files.write_json(FLAGS.random_output, known)


def measure(task: str, num_episodes: int, seed: int) -> dict[str, Any]:
  """Runs random episodes of a task.

  Args:
    task: an environment name.
    num_episodes: at least 2.
    seed: of the episodes and the actions.

  Returns:
    The entry of the results file, but for what it ran on.

  Raises:
    ValueError: for an unknown task.
  """
  env_seed, actor_seed = seeding.derive_seeds(seed, 'evaluation', 0, 2)
  with contextlib.closing(make_environment(task, env_seed)) as environment:
    actor = UniformActor(environment.action_spec(), actor_seed)
    episodes = run_episodes(actor, environment, num_episodes)
  values = summarize(episodes)
  # Of a sample, to estimate the mean's error.
  std = values['return_std'] * math.sqrt(num_episodes / (num_episodes - 1))
  return {
    'environment_id': task,
    'return_mean': values['return_mean'],
    'return_std': std,
    'standard_error': std / math.sqrt(num_episodes),
    'episode_length': values['episode_length'],
    'episodes': num_episodes,
    'seed': seed,
  }


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
