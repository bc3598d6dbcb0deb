"""A population that trains in seconds, as flags of `train`."""

from iq_acme import seeding
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

SMALL = (
  '--env_name=python:pool_environments:make_small',
  '--hidden_layer_sizes=8',
  '--num_action_values=3',
  '--batch_size=8',
  '--min_replay_size=10',
  '--log_period=10',
  '--evaluation_period=20',
  '--evaluation_episodes=1',
  '--num_env_workers=1',
  '--notensorboard',
)


def bad(seed_of_member, at, then):
  """Returns options by which a member's training environment does something."""
  (seed,) = seeding.derive_seeds(seed_of_member, 'training', 0, 1)
  options = {'bad_seed': seed, 'at': at, 'then': then}
  return [f'--env_option={name}={value}' for name, value in options.items()]


def evaluated(folder):
  rows = metrics_files.read_rows(RunDirectory(str(folder)).evaluations)
  return [int(row['actor_steps']) for row in rows]
