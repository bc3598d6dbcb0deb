"""Trains any algorithm of the paper by its name: run_iq.py with --algorithm.

  python experiments/run_algorithm.py --algorithm=sac --env_name=gym:Hopper-v4

Its settings for the task are the paper's. All flags of run_iq.py are understood; of
those that are fields of IQConfig, `sac` takes the ones it has too: learning_rate,
batch_size, hidden_layer_sizes, discount, target_update_rate, min_replay_size,
max_replay_size and log_period. Exit status and folder are those of run_iq.py.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

# So that a clone runs without being installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import app, flags

from experiments import algorithms, config_flags, run_iq
from iq_acme.config import IQConfig

FLAGS = flags.FLAGS

flags.DEFINE_enum('algorithm', 'm_iq', algorithms.NAMES, 'What is trained.')


def main(argv: Sequence[str]) -> int:
  """Runs the script; returns its exit status."""
  return run_iq.run(argv, make_config)


def make_config() -> algorithms.Config:
  """The configuration that the flags describe.

  Raises:
    ValueError: for a value that makes no sense, a hyperparameter that the algorithm
      does not have, or one that makes another algorithm of it.
  """
  name = FLAGS.algorithm
  base = algorithms.make_config(name, FLAGS.env_name)
  known = {field.name for field in dataclasses.fields(base)}
  for field in dataclasses.fields(IQConfig):
    if field.name not in known and FLAGS[field.name].value is not None:
      raise ValueError(
        f'--{field.name} is given, but {name} has no such hyperparameter; it has '
        f'{", ".join(sorted(known))}.'
      )
  config = config_flags.apply_flags(base, FLAGS)
  if (found := algorithms.algorithm_name(config)) != name:
    advice = (
      f'say --algorithm={found}' if found in algorithms.NAMES else 'leave them out'
    )
    raise ValueError(f'With these flags {name} is {found}; {advice}.')
  return config


if __name__ == '__main__':
  app.run(main)
