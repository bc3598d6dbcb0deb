"""What the patches promise: old Acme and TensorFlow Probability load and run."""

import os
import pathlib
import re
import subprocess
import sys
import warnings
from importlib import util

import jax
import jax.numpy as jnp
import pytest

from iq_acme.compat import acme_names


def _run(code, home=None):
  """Runs code in a fresh process; returns what it wrote to standard error."""
  env = {k: v for k, v in os.environ.items() if not k.startswith('TF_CPP')}
  env.pop('IQ_ACME_VERBOSE', None)
  if home:
    env['HOME'] = str(home)
  done = subprocess.run(
    [sys.executable, '-c', code], env=env, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  return done.stderr


def test_pure_half_loads_after_reverb_has_loaded_tensorflow():
  _run(
    'import sys, reverb, iq_acme\n'
    'tensorflow = sys.modules["tensorflow"]\n'
    'import distrax, rlax, iq_acme.update\n'
    'assert sys.modules["tensorflow"] is tensorflow\n'
    'distrax.Categorical(logits=[0.0, 1.0]).entropy()\n'
  )


def test_acme_and_its_company_load_quietly():
  stderr = _run(
    'import sys, iq_acme\n'
    'assert not {"acme", "tensorflow", "reverb", "jax"} & set(sys.modules)\n'
    'import iq_acme.compat.acme_names\n'
    'assert not {"acme", "tensorflow", "reverb"} & set(sys.modules)\n'
    'import acme.agents.jax.sac, acme.agents.jax.builders, reverb, launchpad, courier\n'
    'from acme.jax import layouts, running_statistics, savers, utils, variable_utils\n'
    'from acme.jax.layouts import distributed_layout, local_layout\n'
    'from acme.agents.jax import actor_core, actors, normalization\n'
    'from acme import adders, datasets, wrappers\n'
    'from acme.testing import fakes\n'
  )
  assert 'unmaintained' not in stderr
  assert 'oneDNN' not in stderr


def test_acme_loads_whatever_of_its_company_comes_first():
  # A process each, forked once what takes long, and is none of Acme's, is loaded.
  _run(
    """
import importlib, os, traceback
import iq_acme
import jax, haiku, tensorflow
failed = []
for first in ('acme', 'reverb', 'launchpad', 'courier'):
  if os.fork() == 0:
    try:
      importlib.import_module(first)
      import acme
      from acme.agents.jax import sac
      import reverb, launchpad, courier
      os._exit(0)
    except BaseException:
      traceback.print_exc()
      os._exit(1)
  if os.wait()[1] != 0:
    failed.append(first)
assert not failed, failed
"""
  )


def test_package_may_come_after_those_that_it_mends():
  _run(
    'import acme, reverb, launchpad, iq_acme\n'
    'from acme.agents.jax import sac\n'
    'from launchpad.launch import serialization\n'
    'serialization.serialize_functions("/dev/null", "node", [sac.SACBuilder])\n'
  )


def test_threads_that_load_acme_at_once_all_find_its_names():
  # What they have in common comes first: with much to load, Python 3.10's own import
  # has been seen to lock itself up.
  _run(
    'import concurrent.futures, importlib, iq_acme\n'
    'import jax, haiku, setuptools, tensorflow, dm_env\n'
    'names = ["acme.agents.jax.sac", "reverb", "acme.jax.utils", "launchpad"]\n'
    'with concurrent.futures.ThreadPoolExecutor(4) as pool:\n'
    '  list(pool.map(importlib.import_module, names))\n'
  )


def test_acmes_own_sac_learns_with_normalisation(tmp_path):
  _run(
    'import iq_acme\n'
    'import acme\n'
    'from acme.agents.jax import sac\n'
    'from acme.testing import fakes\n'
    'from acme.utils import counting\n'
    'env = fakes.ContinuousEnvironment('
    '  episode_length=20, bounded=True, action_dim=2, observation_dim=3)\n'
    'spec = acme.make_environment_spec(env)\n'
    'config = sac.SACConfig(batch_size=16, min_replay_size=32, samples_per_insert=16)\n'
    'config.target_entropy = sac.target_entropy_from_env_spec(spec)\n'
    'networks = sac.make_networks(spec, hidden_layer_sizes=(8, 8))\n'
    'counter = counting.Counter()\n'
    'agent = sac.SAC(spec, networks, config, 0, normalize_input=True,'
    '  counter=counter)\n'
    'acme.EnvironmentLoop(env, agent).run(num_episodes=4)\n'
    'assert counter.get_counts()["steps"] >= 10, counter.get_counts()\n',
    home=tmp_path,
  )


def test_restored_names_do_what_they_used_to():
  assert jax.tree_map(lambda x: x + 1, {'a': 1}) == {'a': 2}
  assert jax.tree_multimap(lambda x, y: x - y, [5, 3], [1, 1]) == [4, 2]
  leaves, treedef = jax.tree_flatten((1, [2]))
  assert leaves == [1, 2]
  assert jax.tree_util.tree_unflatten(treedef, leaves) == (1, [2])
  array = jnp.ones(2)
  assert isinstance(array, jax.xla.DeviceArray)
  assert isinstance(array, jnp.DeviceArray)
  assert isinstance(array, jax.pxla.ShardedDeviceArray)
  assert isinstance(jax.devices()[0], jax.xla.Device)


def test_only_missing_names_are_patched(monkeypatch):
  assert acme_names.apply() == ()
  theirs = object()
  monkeypatch.setattr(jax, 'tree_map', theirs)
  monkeypatch.delattr(jax, 'tree_flatten')
  assert acme_names.apply() == ('jax.tree_flatten',)
  assert jax.tree_map is theirs


@pytest.mark.parametrize('name', [patch.name for patch in acme_names.PATCHES])
def test_every_patch_is_still_needed_by_the_installed_acme(name):
  (folder,) = util.find_spec('acme').submodule_search_locations
  uses = re.compile(re.escape(name) + r'\b')
  files = [p for p in pathlib.Path(folder).rglob('*.py') if 'test' not in p.name]
  assert any(uses.search(p.read_text('utf-8')) for p in files), (
    f'no file of Acme mentions {name} any more: its patch can go'
  )


def test_users_own_settings_win_over_quiet(monkeypatch):
  with warnings.catch_warnings():
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '0')
    acme_names.quiet()
    assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '0'

    monkeypatch.delenv('TF_CPP_MIN_LOG_LEVEL')
    monkeypatch.setenv('IQ_ACME_VERBOSE', '1')
    acme_names.quiet()
    assert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ

    monkeypatch.setenv('IQ_ACME_VERBOSE', '0')
    acme_names.quiet()
    assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '2'


def test_static_python_gets_libpython_and_so_do_its_children(monkeypatch, tmp_path):
  name = f'libpython3.{sys.version_info.minor}.so.1.0'
  (tmp_path / name).touch()
  loaded = []

  def load(library, mode):
    loaded.append(library)
    return mode != os.RTLD_NOLOAD  # Not loaded yet, but it can be.

  monkeypatch.setattr(acme_names, '_can_load', load)
  monkeypatch.setattr(acme_names, '_library_folders', lambda: [tmp_path])
  monkeypatch.setenv('LD_LIBRARY_PATH', '/theirs')
  assert acme_names.load_libpython() == tmp_path / name
  assert acme_names.load_libpython() == tmp_path / name
  assert loaded == [name, str(tmp_path / name)] * 2
  assert os.environ['LD_LIBRARY_PATH'] == f'{tmp_path}:/theirs'


def test_python_without_any_libpython_is_left_to_the_doctor(monkeypatch, tmp_path):
  monkeypatch.setattr(acme_names, '_can_load', lambda library, mode: False)
  monkeypatch.setattr(acme_names, '_library_folders', lambda: [tmp_path])
  assert acme_names.load_libpython() is None
