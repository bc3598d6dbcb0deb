import dataclasses
import json
import os
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from repository import ROOT
from saved_policies import (
  ACTIONS,
  CONFIG,
  FLAT,
  OBSERVATIONS,
  make,
  rewrite_header,
  save,
)

from iq_acme import NonFiniteActionError, acting, policy_io
from iq_acme.config import POLICY_FAMILIES, IQConfig
from iq_acme.networks import make_networks
from iq_acme.spec_checks import EnvironmentSpec
from iq_acme.storage import serialization
from iq_acme.training import panels
from iq_acme.training.run_directory import RunDirectory


class Sensors(NamedTuple):
  joints: specs.Array
  touch: specs.Array


SENSORS = Sensors(specs.Array((2,), np.float32), specs.Array((1,), np.float32))


@pytest.fixture
def path(tmp_path):
  return str(tmp_path / 'policy.npz')


def test_home_is_meant_by_its_sign(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  save('~/new/policy.npz', FLAT)
  assert os.listdir(tmp_path / 'new') == ['policy.npz']
  assert policy_io.load_policy('~/new/policy.npz').environment_spec.actions == ACTIONS
  assert RunDirectory('~/run').config == str(tmp_path / 'run' / 'config.json')
  panels.save_figure(panels.make_figure(columns=1, rows=1), '~/plots/x.png')
  assert os.listdir(tmp_path / 'plots') == ['x.png']


@pytest.mark.parametrize(
  ('kind', 'fields'),
  [
    ('flat', {}),
    ('flat', {'policy_family': 'gaussian'}),
    ('flat', {'policy_family': 'autoregressive'}),
    *((kind, {'normalize_observations': True}) for kind in OBSERVATIONS),
  ],
  ids=str,
)
def test_policy_comes_back_bit_for_bit_and_acts_the_same(path, kind, fields):
  observations, observation = OBSERVATIONS[kind]
  networks, config, variables = save(path, observations, {'task': 'x'}, **fields)
  loaded = policy_io.load_policy(path)
  assert loaded.config == config
  assert loaded.environment_spec.observations == observations
  assert loaded.environment_spec.actions == ACTIONS
  assert loaded.metadata == {'task': 'x'}
  jax.tree.map(np.testing.assert_array_equal, loaded.variables[:2], variables[:2])
  act = jax.jit(acting.make_evaluation_policy(networks, deterministic=True))
  expected, _ = act(variables, jax.random.PRNGKey(0), observation)
  action = loaded(observation)
  assert action.dtype == np.float32
  np.testing.assert_array_equal(action, expected)
  ACTIONS.validate(action)


def test_specs_come_back_exactly_names_dtypes_and_bounds_included(path):
  save(path)
  found = policy_io.load_policy(path).environment_spec.observations
  assert (found.name, found.dtype, found.shape) == ('obs', np.float32, (3,))
  np.testing.assert_array_equal(found.minimum, np.float32([-1, -np.inf, 0.1]))
  np.testing.assert_array_equal(found.maximum, np.float32([np.inf] * 3))


def test_sampled_actions_follow_the_seed(path):
  save(path)
  policy = policy_io.load_policy(path)
  observation = OBSERVATIONS['flat'][1]

  def sampled(seed):
    policy.seed(seed)
    return [policy(observation, deterministic=False).tolist() for _ in range(12)]

  assert len({tuple(action) for action in sampled(0)}) > 1
  assert sampled(0) == sampled(0)
  assert sampled(0) != sampled(1)


def test_normaliser_is_used(path):
  observation = OBSERVATIONS['flat'][1]
  networks, _, variables = save(path, normalize_observations=True)
  loaded = policy_io.load_policy(path)
  loaded.seed(3)
  # (s - 0.7) / sqrt(3.1), by hand, for a policy that does not normalise.
  act = jax.jit(acting.make_evaluation_policy(networks, deterministic=False))
  key = jax.random.PRNGKey(3)
  by_hand = jnp.float32((observation - 0.7) / np.sqrt(3.1))
  plain = acting.ActingVariables(variables.params, None, exploring=False)
  for _ in range(10):
    expected, key = act(plain, key, by_hand)
    np.testing.assert_array_equal(loaded(observation, deterministic=False), expected)


@pytest.mark.parametrize(
  ('observation', 'words'),
  [
    (np.zeros(4, np.float32), ('shape (4,)', '(3,)')),
    (np.zeros((1, 3), np.float32), ('shape (1, 3)', '(3,)')),
    (np.float32(1), ('shape ()', '(3,)')),
    ({'a': np.zeros(3)}, ("{'a': *}", 'takes PyTreeDef(*)')),
    (np.float32([0, np.nan, 0]), ('NaN or infinite',)),
    (np.float32([0, np.inf, 0]), ('NaN or infinite',)),
  ],
)
def test_bad_observation_is_refused(path, observation, words):
  save(path)
  with pytest.raises(ValueError) as error:
    policy_io.load_policy(path)(observation)
  assert all(word in str(error.value) for word in words), str(error.value)


def test_named_tuples_need_their_networks_which_the_error_says(path):
  networks, _, variables = save(path, SENSORS, normalize_observations=True)
  with pytest.raises(ValueError, match=r'NamedTuple, Sensors.*networks=make_networks'):
    policy_io.load_policy(path)
  loaded = policy_io.load_policy(path, networks)
  assert loaded.environment_spec.observations == SENSORS
  observation = Sensors(np.float32([1.0, -2.0]), np.float32([0.5]))
  act = jax.jit(acting.make_evaluation_policy(networks, deterministic=True))
  expected, _ = act(variables, jax.random.PRNGKey(0), observation)
  np.testing.assert_array_equal(loaded(observation), expected)


def test_networks_made_from_another_configuration_than_the_files_are_refused(path):
  save(path, temperature=0.05, scale_logits_by_temperature=True)
  networks, *_ = make(temperature=0.05)
  with pytest.raises(ValueError, match=r'scale_logits_by_temperature False.*True'):
    policy_io.load_policy(path, networks)


def test_networks_of_another_first_scale_load_the_same_policy(path):
  save(path)
  networks, *_ = make(output_init_scale=1.0)
  observation = np.float32([0.1, -2.0, 3.0])
  expected = policy_io.load_policy(path)(observation)
  np.testing.assert_array_equal(
    policy_io.load_policy(path, networks)(observation), expected
  )


def test_actions_have_the_specs_dtype_and_stay_within_its_bounds(path):
  # 0.1 in float32 is larger than 0.1, and -0.1 smaller than -0.1.
  actions = specs.BoundedArray((2,), np.float64, -0.1, 0.1, name='a')
  spec = EnvironmentSpec(FLAT, actions)
  networks = make_networks(spec, CONFIG)
  variables = acting.ActingVariables(
    networks.policy.init(jax.random.PRNGKey(0)), None, exploring=False
  )
  policy_io.save_policy(path, variables, spec, CONFIG)
  policy = policy_io.load_policy(path)
  sampled = np.stack(
    [policy(OBSERVATIONS['flat'][1], deterministic=False) for _ in range(40)]
  )
  assert sampled.dtype == np.float64
  assert (sampled.min(), sampled.max()) == (-0.1, 0.1)


def test_policy_of_custom_networks_is_not_loaded_as_the_defaults(path):
  networks, config, variables = make()
  # The same parameters, another policy.
  mirrored = dataclasses.replace(
    networks.policy, mode=lambda *arguments: -networks.policy.mode(*arguments)
  )
  custom = dataclasses.replace(networks, policy=mirrored)
  policy_io.save_policy(
    path, variables, networks.environment_spec, config, networks=custom
  )
  with pytest.raises(ValueError, match=r'policy_io_test.*networks=') as error:
    policy_io.load_policy(path)
  assert not isinstance(error.value, serialization.CorruptFileError)
  observation = OBSERVATIONS['flat'][1]
  save(path, metadata={'default': True})
  plain = policy_io.load_policy(path)(observation)
  np.testing.assert_array_equal(
    policy_io.load_policy(path, custom)(observation), -plain
  )


@pytest.mark.parametrize('family', POLICY_FAMILIES)
def test_networks_of_make_networks_are_nothing_to_record(path, family):
  networks, config, variables = make(policy_family=family)
  policy_io.save_policy(
    path, variables, networks.environment_spec, config, networks=networks
  )
  assert 'networks' not in serialization.load_header(path)
  policy_io.load_policy(path)
  unknown = dataclasses.replace(networks, config=None)
  policy_io.save_policy(
    path, variables, networks.environment_spec, config, networks=unknown
  )
  with pytest.raises(ValueError, match='networks='):
    policy_io.load_policy(path)


def test_older_file_without_a_newer_hyperparameter_gets_its_default(path):
  save(path)
  config = dataclasses.asdict(CONFIG)
  del config['log_period']
  rewrite_header(path, config=config)
  assert policy_io.load_policy(path).config.log_period == IQConfig().log_period


def test_failed_save_leaves_the_previous_policy(path, tmp_path):
  save(path, metadata={'good': True})
  with pytest.raises(TypeError):
    save(path, metadata={'bad': object()})
  assert policy_io.load_policy(path).metadata == {'good': True}
  assert os.listdir(tmp_path) == ['policy.npz']


def spoil(variables, where, bad):
  """The variables with one number of their parameters or statistics replaced."""
  spoilt = jax.tree.map(np.array, variables)
  jax.tree.leaves(getattr(spoilt, where))[-1].flat[0] = bad
  return spoilt


@pytest.mark.parametrize('bad', [np.nan, -np.inf])
@pytest.mark.parametrize('where', ['params', 'normalizer'])
def test_a_policy_that_is_not_finite_never_replaces_a_good_one(path, where, bad):
  networks, config, variables = save(
    path, metadata={'good': True}, normalize_observations=True
  )
  spoilt = spoil(variables, where, bad)
  with pytest.raises(NonFiniteActionError, match=rf'{bad}.*lower learning_rate'):
    policy_io.save_policy(path, spoilt, networks.environment_spec, config)
  assert policy_io.load_policy(path).metadata == {'good': True}


def test_a_file_whose_policy_is_not_finite_is_refused(path):
  _, _, variables = save(path)
  header = serialization.load_header(path)
  spoilt = spoil(variables, 'params', np.nan)
  serialization.save_tree(path, (spoilt.params, spoilt.normalizer), header)
  with pytest.raises(ValueError, match=rf'{path}.*not finite.*had diverged'):
    policy_io.load_policy(path)


def test_saved_policy_acts_where_tensorflow_reverb_launchpad_and_acme_are_missing(path):
  save(path, normalize_observations=True)
  expected = policy_io.load_policy(path)(OBSERVATIONS['flat'][1])
  code = f"""
import sys
for name in ('tensorflow', 'reverb', 'launchpad', 'courier', 'acme', 'sonnet'):
  sys.modules[name] = None
import iq_acme
policy = iq_acme.load_policy({path!r})
print(policy([0.1, -2.0, 3.0] @ __import__('numpy').eye(3)).tolist())
"""
  result = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert result.returncode == 0, result.stderr
  np.testing.assert_array_equal(np.float32(json.loads(result.stdout)), expected)
