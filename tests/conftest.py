"""What all tests share."""

import importlib.util
import os
import signal
import tempfile

import jax
import pytest
from repository import TESTS

import iq_acme  # noqa: F401  # Lets test files import Acme before this package.

# Or each of the many processes that tests start would compile this package and Acme anew.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)

# Under nohup, processes would be started that ignore a terminal that closes, which tests
# close; a handler, unlike SIG_IGN, is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
  signal.signal(signal.SIGHUP, lambda *unused: None)

# Where there is no Acme, only the core is tested.
if importlib.util.find_spec('acme') is None:
  collect_ignore = ['agent', 'compat', 'distributed', 'supervisor']
  collect_ignore += ['baselines/sac_test.py', 'experiments/learning/tandem_test.py']
  collect_ignore += [
    f'replay/{name}_test.py' for name in ('paths', 'reverb', 'watchdog')
  ]


def pytest_configure(config):
  """Lets XLA compile each program once in the whole session.

  Agents, learners and loaded policies jit functions of their own, so tests that make
  them over and over would compile the same few programs hundreds of times. The cache
  is new in every session and serves this process alone: children start as a user's do.
  """
  _optimise_less(config)
  folder = tempfile.TemporaryDirectory(prefix='iq_acme_compiled_')
  config.add_cleanup(folder.cleanup)
  jax.config.update('jax_compilation_cache_dir', folder.name)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)
  # A program that cannot be read back is a failure, not a warning among others.
  jax.config.update('jax_raise_persistent_cache_errors', True)


def _optimise_less(config):
  """Saves LLVM's time, half of the suite's, unless `XLA_FLAGS= make test` forbids it.

  Most programs run for a moment, those of the processes that tests start more so than the
  tests' own, of which some compute for long.
  """
  starts_workers = config.getoption('numprocesses', None) and not hasattr(
    config, 'workerinput'
  )
  if 'XLA_FLAGS' in os.environ or starts_workers:  # Workers would inherit it.
    return
  os.environ['XLA_FLAGS'] = '--xla_backend_optimization_level=1'
  jax.devices()  # XLA reads its flags once.
  os.environ['XLA_FLAGS'] = '--xla_backend_optimization_level=0'


# Files whose tests start programs of processes, whole commands, or train for long.
SLOW = {
  'agent/acme_layout_test',
  'agent/acmes_sac_test',
  'agent/builder_test',
  'agent/demonstrations_test',
  'agent/discrete_test',
  'agent/learner_nonfinite_test',
  'agent/local_refusals_test',
  'agent/local_test',
  'agent/pendulum_test',
  'agent/resume_changes_test',
  'agent/resume_test',
  'baselines/sac_population_test',
  'baselines/sac_test',
  'baselines/sac_update_test',
  'commands/demonstrations_test',
  'commands/evaluate_test',
  'commands/population_signals_test',
  'commands/population_test',
  'commands/train_distributed_test',
  'commands/train_test',
  'compat/doctor_test',
  'compat/loopback_test',
  'compat/patches_test',
  'distributed/discrete_test',
  'distributed/parts_test',
  'distributed/programs_test',
  'experiments/learning/probe_test',
  'experiments/learning/tandem_test',
  'experiments/paper/command_test',
  'experiments/paper/run_pool_test',
  'experiments/theory/bridge_test',
  'older_files_test',
  'package_test',
  'population/engine_test',
  'population/pendulum_test',
  'population/runner_test',
  'replay/paths_test',
  'replay/reverb_test',
  'supervisor/network_test',
  'training/interruption_test',
}


def pytest_collection_modifyitems(items):
  """Marks what `make test-fast` leaves out, and what an extra would be needed for."""
  has_dm_control = importlib.util.find_spec('dm_control') is not None
  for item in items:
    if item.path.relative_to(TESTS).with_suffix('').as_posix() in SLOW:
      item.add_marker(pytest.mark.slow)
    if item.path.parent.name == 'environments' and 'dm_control' in item.name:
      item.add_marker(pytest.mark.skipif(not has_dm_control, reason='no dm_control'))
