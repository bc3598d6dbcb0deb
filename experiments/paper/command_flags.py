"""Flags of the paper's command line."""

from absl import flags

from iq_acme.commands import distribution_flags, environment_flags, parsing

FLAGS = parsing.new_flags()

flags.DEFINE_string(
  'root',
  None,
  'Folder of all runs; unset: runs/paper, for plot the exported ones.',
  flag_values=FLAGS,
)
flags.DEFINE_string(
  'output',
  None,
  'Folder of figures and tables; unset: experiments/results/paper.',
  flag_values=FLAGS,
)
flags.DEFINE_string(
  'exported',
  None,
  'Exported runs, which count as finished; unset: experiments/results/paper/runs. '
  '"none" lets none count.',
  flag_values=FLAGS,
)
flags.DEFINE_integer(
  'steps', None, "Environment steps of each run; unset: the plan's.", flag_values=FLAGS
)
flags.DEFINE_integer(
  'seeds', None, "Seeds of each variant; unset: the plan's.", flag_values=FLAGS
)
flags.DEFINE_list(
  'tasks',
  [],
  'Only these, such as HalfCheetah-v4,adroit:door; or your own, gym:my_package:MyEnv-v0 '
  'or python:my_module:make_env.',
  flag_values=FLAGS,
)
environment_flags.define_options(FLAGS)
flags.DEFINE_list('algorithms', [], 'Only these, such as m_iq,sac.', flag_values=FLAGS)
flags.DEFINE_integer(
  'workers',
  None,
  'Runs side by side; unset: 2, a core each, or 1 that is distributed.',
  lower_bound=1,
  flag_values=FLAGS,
)
flags.DEFINE_integer(
  'first_core',
  None,
  'The first of these cores; unset: the first that this process may use.',
  lower_bound=0,
  flag_values=FLAGS,
)
flags.DEFINE_integer(
  'checkpoint_period', 50_000, 'Steps between checkpoints.', flag_values=FLAGS
)
flags.DEFINE_boolean(
  'checkpoint_replay',
  True,
  'Save replay with each checkpoint. Without it runs need next to no disk, but one that '
  'is resumed refills its replay first.',
  flag_values=FLAGS,
)
distribution_flags.define_flags(
  'Make each run but those of SAC a Launchpad program.', FLAGS
)
