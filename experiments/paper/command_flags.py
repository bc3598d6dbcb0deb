"""Flags of the paper's command line."""

from iq_acme.commands import (
  config_flags,
  distribution_flags,
  environment_flags,
  parsing,
  population_flags,
)
from iq_acme.training.settings import RunSettings

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string(
  'root', None, 'Folder of all runs; unset: runs/paper, for plot the exported ones.'
)
_define.string(
  'output', None, 'Folder of figures and tables; unset: experiments/results/paper.'
)
_define.string(
  'exported',
  None,
  'Exported runs, which count as finished; unset: experiments/results/paper/runs. '
  '"none" lets none count.',
)
_define.integer('steps', None, "Environment steps of each run; unset: the plan's.")
_define.integer('seeds', None, "Seeds of each variant; unset: the plan's.")
_define.list(
  'tasks',
  [],
  'Only these, such as HalfCheetah-v4,adroit:door; or your own, gym:my_package:MyEnv-v0 '
  'or python:my_module:make_env.',
)
environment_flags.define_options(FLAGS)
_define.list('algorithms', [], 'Only these, such as m_iq,sac.')
_define.integer(
  'workers',
  None,
  'Runs side by side; unset: 2, a core each, or 1 that is distributed.',
  lower_bound=1,
)
_define.integer(
  'first_core',
  None,
  'The first of these cores; unset: the first that this process may use.',
  lower_bound=0,
)
_define.boolean(
  'checkpoint_replay',
  True,
  'Save replay with each checkpoint. Without it runs need next to no disk, but one that '
  'is resumed refills its replay first.',
)
config_flags.define_flags(RunSettings, FLAGS, ['checkpoint_period'], {})
distribution_flags.define_flags(
  'Make each run but those of SAC a Launchpad program.', FLAGS
)
_define.boolean(
  'population',
  False,
  'Train runs of one task and one program together, as a population.',
)
population_flags.define_resources(FLAGS)
