"""Flags that spread a run over many processes: of one run, and of a plan's."""

from absl import flags

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # They are the script's that has them defined: for its --help.

_DEPENDENT = ('num_actors', 'lp_launch_type')


def define_flags(run_distributed_help: str) -> None:
  """Defines --run_distributed, --num_actors and --lp_launch_type.

  Args:
    run_distributed_help: what the first of them does in this script.
  """
  flags.DEFINE_boolean('run_distributed', False, run_distributed_help)
  flags.DEFINE_integer('num_actors', 4, 'Actors of a distributed run.', lower_bound=1)
  flags.DEFINE_enum(
    'lp_launch_type',
    'local_mp',
    ['local_mp', 'local_mt'],
    'A process, or a thread, for each node of a distributed run.',
    allow_override=True,  # Launchpad defines it too, when it is loaded.
  )


def check_flags() -> None:
  """Raises a ValueError for a flag that has no effect without --run_distributed."""
  for name in _DEPENDENT:
    if FLAGS[name].present and not FLAGS.run_distributed:
      raise ValueError(f'--{name} is for distributed runs: give --run_distributed too.')
