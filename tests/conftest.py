"""What all tests share."""

import pathlib
import tempfile

import jax
import pytest

import iq_acme  # noqa: F401  # Lets test files import Acme before this package.


def pytest_configure(config):
  """Lets XLA compile each program once in the whole session.

  Agents, learners and loaded policies jit functions of their own, so tests that make
  them over and over would compile the same few programs hundreds of times. The cache
  is new in every session and serves this process alone: children start as a user's do.
  """
  folder = tempfile.TemporaryDirectory(prefix='iq_acme_compiled_')
  config.add_cleanup(folder.cleanup)
  jax.config.update('jax_compilation_cache_dir', folder.name)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)
  # A program that cannot be read back is a failure, not a warning among others.
  jax.config.update('jax_raise_persistent_cache_errors', True)


# Files whose tests start programs of processes, whole commands, or train for long.
SLOW = {
  'acme_layout_test',
  'agent_resume_changes_test',
  'agent_resume_test',
  'agents_test',
  'builder_test',
  'compat_test',
  'distributed_parts_test',
  'distributed_programs_test',
  'doctor_test',
  'evaluate_test',
  'interruption_test',
  'learning_nonfinite_test',
  'learning_pendulum_test',
  'learning_probe_test',
  'local_agent_test',
  'older_files_test',
  'package_test',
  'paper_command_test',
  'replay_paths_test',
  'replay_test',
  'run_iq_distributed_test',
  'run_iq_test',
  'run_pool_test',
  'sac_agent_test',
}


def pytest_collection_modifyitems(items):
  """Marks what `make test-fast` leaves out."""
  for item in items:
    if pathlib.Path(item.fspath).stem in SLOW:
      item.add_marker(pytest.mark.slow)
