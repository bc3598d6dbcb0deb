"""Flags that spread a run over many processes: of one run, and of a plan's."""

from absl import flags

from iq_acme.commands import parsing

# Those that have no effect without --run_distributed.
DEPENDENT = ('num_actors', 'lp_launch_type', 'listen')


def define_flags(run_distributed_help: str, flag_values: flags.FlagValues) -> None:
  """Defines --run_distributed, and the flags that it takes.

  Args:
    run_distributed_help: what the first of them does in this script.
    flag_values: where to define them.
  """
  define = parsing.definers(flag_values)
  define.boolean('run_distributed', False, run_distributed_help)
  define.integer('num_actors', 4, 'Actors of a distributed run.', lower_bound=1)
  define.enum(
    'lp_launch_type',
    'local_mp',
    ['local_mp', 'local_mt'],
    'A process, or a thread, for each node of a distributed run.',
  )
  define.enum(
    'listen',
    'local',
    ['local', 'all'],
    'Who can reach the servers of a distributed run: this machine, or all that can reach '
    'it, none of whom is asked who they are.',
  )


def repeat_flags(flag_values: flags.FlagValues) -> list[str]:
  """Returns the flags as they are to be given to a run; none if it is of one process."""
  if not flag_values.run_distributed:
    return []
  names = ('run_distributed', *DEPENDENT)
  return [flag_values[name].serialize() for name in names]


def check_flags(flag_values: flags.FlagValues) -> None:
  """Raises a ValueError for a flag that has no effect without --run_distributed."""
  for name in DEPENDENT:
    if flag_values[name].present and not flag_values.run_distributed:
      raise ValueError(f'--{name} is for distributed runs: give --run_distributed too.')
