import importlib
import json
import subprocess
import sys

import pytest
from repository import ROOT

import iq_acme

HEAVY = ('tensorflow', 'reverb', 'launchpad', 'courier', 'acme', 'sonnet', 'trfl')
SIMULATORS = ('gymnasium', 'gym', 'mujoco', 'dm_control', 'dm_env')
# Floors 1 to 3: what a bare accelerator machine needs.
PURE = (
  'config',
  'policies',
  'policies.base',
  'policies.multicategorical',
  'policies.autoregressive',
  'policies.gaussian',
  'spec_checks',
  'networks',
  'losses',
  'normalization',
  'update',
  'acting',
  'critics',
  'evaluation',
  'process',
  'storage.serialization',
  'storage.checkpoints',
  'storage.files',
)


def run(code):
  """What a fresh Python process prints, as JSON."""
  result = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert result.returncode == 0, result.stderr
  return json.loads(result.stdout)


def test_importing_the_package_loads_nothing_heavy():
  loaded = run(
    f"""
import json, sys
import iq_acme
dir(iq_acme)
print(json.dumps([name for name in {HEAVY + SIMULATORS} if name in sys.modules]))
"""
  )
  assert loaded == []


def test_policies_and_updates_load_no_tensorflow_and_leave_it_loadable():
  # TensorFlow is installed here; without the patch, distrax would load it.
  loaded, version = run(
    f"""
import json, sys
import iq_acme
iq_acme.load_policy, iq_acme.make_networks
import distrax, rlax, iq_acme.update
loaded = [name for name in {HEAVY} if name in sys.modules]
distrax.Categorical(logits=[0.0, 1.0]).entropy()
import tensorflow, reverb
from tensorflow.python.ops import array_ops
assert array_ops.shape([1]) is not None
print(json.dumps([loaded, tensorflow.__version__]))
"""
  )
  assert loaded == []
  assert version


def test_config_is_there_without_jax():
  assert run(
    """
import json, sys
import iq_acme
iq_acme.IQConfig(temperature=0.1), iq_acme.paper_config('adroit:door')
print(json.dumps('jax' in sys.modules))
"""
  ) is False  # fmt: skip


def test_pure_half_trains_where_acme_and_simulators_are_missing():
  # Not only imports: a step of learning and of acting, with specs of plain Python.
  found = run(
    f"""
import sys
for name in {HEAVY + SIMULATORS}:
  if name != 'dm_env':  # rlax has it for its types.
    sys.modules[name] = None
import importlib, json
for name in {PURE}:
  importlib.import_module('iq_acme.' + name)
from types import SimpleNamespace
import jax, numpy as np
from iq_acme import acting, update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
spec = SimpleNamespace(
  observations=SimpleNamespace(shape=(2,), dtype=np.float32),
  actions=SimpleNamespace(shape=(1,), dtype=np.float32, minimum=-1, maximum=1))
config = IQConfig(hidden_layer_sizes=(4,))
networks = make_networks(spec, config)
state = update.init_state(jax.random.PRNGKey(0), networks, config)
s, r = np.ones((4, 2), np.float32), np.ones(4, np.float32)
state, metrics = jax.jit(lambda *a: update.sgd_step(
  *a, networks=networks, config=config))(
    state, update.Transition(s, s[:, :1], r, r, s))
variables = acting.ActingVariables(state.params.policy, None, False)
action, _ = jax.jit(acting.make_behavior_policy(networks))(
  variables, state.key, s[0])
print(json.dumps([bool(np.isfinite(metrics['loss'])), float(abs(action[0]))]))
"""
  )
  assert found[0]
  assert 0 <= found[1] <= 1


@pytest.mark.parametrize('name', ['IQConfig', 'paper_config', 'make_networks', 'load_policy', 'save_policy', 'LoadedPolicy', 'IQNetworks'])  # fmt: skip
def test_public_name_is_the_one_of_its_room(name):
  home = importlib.import_module(f'iq_acme.{iq_acme._HOME[name]}')
  assert getattr(iq_acme, name) is getattr(home, name)


def test_every_public_name_has_a_home_and_is_listed():
  assert set(iq_acme.__all__) == set(iq_acme._HOME)
  assert set(iq_acme.__all__) <= set(dir(iq_acme))


def test_each_room_of_public_names_can_be_the_first_that_is_imported():
  # A process each, forked once what takes long, and is none of Acme's, is loaded.
  failures = run(
    """
import json, os, sys
import iq_acme
import jax, reverb, tensorflow
assert 'acme' not in sys.modules
failures = {}
for home in sorted(set(iq_acme._HOME.values())):
  reader, writer = os.pipe()
  if os.fork() == 0:
    try:
      for name in iq_acme._HOME:
        if iq_acme._HOME[name] == home:
          exec(f'from iq_acme import {name}')
      os.write(writer, b'imported')
    except BaseException as error:
      os.write(writer, repr(error).encode())
    os._exit(0)
  os.close(writer)
  with os.fdopen(reader) as pipe:
    said = pipe.read()
  os.wait()
  if said != 'imported':
    failures[home] = said
print(json.dumps(failures))
"""
  )
  assert failures == {}


def test_unknown_name_is_an_attribute_error():
  with pytest.raises(AttributeError, match="'iq_acme' has no attribute 'IQAgent'"):
    _ = iq_acme.IQAgent


def test_without_acme_its_half_is_refused_in_a_sentence_and_the_core_works():
  code = """
import json, sys
for name in ('acme', 'courier', 'launchpad', 'reverb', 'tensorflow'):
  sys.modules[name] = None  # As where they are not installed.
import iq_acme
from iq_acme import load_policy, make_environment, make_networks
try:
  iq_acme.make_iq_agent
except ImportError as error:
  print(json.dumps(str(error)))
"""
  message = run(code)
  assert message.startswith('iq_acme.make_iq_agent: ')
  assert "pip install '.[acme]'" in message
