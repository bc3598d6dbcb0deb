import collections
import dataclasses
import json
import os
import subprocess
import sys
import tracemalloc
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from repository import ROOT

from iq_acme import NonFiniteActionError, acting, policy_io
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.normalization import RunningStatistics
from iq_acme.spec_checks import EnvironmentSpec
from iq_acme.storage import serialization

ACTIONS = specs.BoundedArray((2,), np.float32, [-0.4, 0.0], [0.4, 2.0], name='a')
FLAT = specs.BoundedArray((3,), np.float32, [-1, -np.inf, 0.1], np.inf, name='obs')
OBSERVATIONS = {
  'flat': (FLAT, np.float32([0.1, -2.0, 3.0])),
  'dict': (
    {'b': specs.Array((2,), np.float64), 'a': specs.Array((), np.float32)},
    {'b': np.array([1.0, -1.0]), 'a': np.float32(0.5)},
  ),
  # JAX keeps this order, and sorts a plain dict's.
  'ordered dict': (
    collections.OrderedDict(
      [('b', specs.Array((1,), np.float32)), ('a', specs.Array((2,), np.float32))]
    ),
    collections.OrderedDict([('b', np.float32([4.0])), ('a', np.float32([1.0, -2.0]))]),
  ),
  'tuple in a list': (
    [(specs.Array((2,), np.float32), specs.Array((1,), np.float32))],
    [(np.float32([1.0, 2.0]), np.float32([-3.0]))],
  ),
}
CONFIG = IQConfig(hidden_layer_sizes=(8,), num_action_values=5, min_replay_size=999)


def make(observations=FLAT, **fields):
  """An environment's specs, a configuration, and variables as after some training."""
  spec = EnvironmentSpec(observations, ACTIONS)
  config = dataclasses.replace(CONFIG, **fields)
  networks = make_networks(spec, config)
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(networks.policy.init, jax.random.PRNGKey(0))
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes
  )
  normalizer = None
  if config.normalize_observations:
    normalizer = RunningStatistics(
      count=np.float32(77),
      mean=jax.tree.map(lambda s: np.full(s.shape, 0.7, np.float32), observations),
      variance=jax.tree.map(lambda s: np.full(s.shape, 3.1, np.float32), observations),
    )
  variables = acting.ActingVariables(params, normalizer, exploring=False)
  return networks, config, variables


def save(path, observations=FLAT, metadata=None, **fields):
  networks, config, variables = make(observations, **fields)
  policy_io.save_policy(path, variables, networks.environment_spec, config, metadata)
  return networks, config, variables


def rewrite_header(path, **changes):
  """Replaces header entries of a policy file; those set to None go."""
  header = serialization.load_header(path) | changes
  with np.load(path) as file:
    arrays = {name: file[name] for name in file.files}
  header = {name: value for name, value in header.items() if value is not None}
  arrays['header.json'] = np.frombuffer(json.dumps(header).encode(), np.uint8)
  np.savez(path, **arrays)


class Sensors(NamedTuple):
  joints: specs.Array
  touch: specs.Array


SENSORS = Sensors(specs.Array((2,), np.float32), specs.Array((1,), np.float32))


@pytest.fixture
def path(tmp_path):
  return str(tmp_path / 'policy.npz')


@pytest.mark.parametrize(
  ('kind', 'fields'),
  [
    ('flat', {}),
    ('flat', {'policy_family': 'gaussian'}),
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


def test_missing_file_is_not_called_corrupt(path):
  with pytest.raises(FileNotFoundError):
    policy_io.load_policy(path)


def test_truncated_policy_is_called_corrupt(path):
  save(path)
  os.truncate(path, os.path.getsize(path) - 10)
  with pytest.raises(serialization.CorruptFileError, match='damaged'):
    policy_io.load_policy(path)


def test_damaged_parameter_is_called_corrupt(path):
  _, _, variables = save(path)
  with open(path, 'rb') as file:
    data = bytearray(file.read())
  weights = max(jax.tree.leaves(variables.params), key=np.size).tobytes()
  data[data.index(weights) + 5] ^= 1
  with open(path, 'wb') as file:
    file.write(data)
  with pytest.raises(serialization.CorruptFileError, match='CRC'):
    policy_io.load_policy(path)


def test_other_npz_file_is_refused(path):
  np.savez(path, weights=np.zeros(3))
  with pytest.raises(serialization.CorruptFileError, match='not written by this'):
    policy_io.load_policy(path)


def test_file_of_this_package_that_is_no_policy_is_refused(path):
  serialization.save_tree(path, {'x': np.zeros(3)})  # Such as a checkpoint's.
  with pytest.raises(serialization.CorruptFileError, match='is not a policy'):
    policy_io.load_policy(path)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'version': 2}, ('format version 2', 'up to 1', 'upgrade')),
    (
      {'config': dataclasses.asdict(CONFIG) | {'heads': 3}},
      ("['heads']", 'newer package', 'upgrade'),
    ),
    (
      {'config': dataclasses.asdict(CONFIG) | {'temperature': -1}},
      ('IQConfig.temperature is -1',),
    ),
    (
      {'config': dataclasses.asdict(CONFIG) | {'num_action_values': 7}},
      ('does not fit', 'float32[10]', 'expected float32[14]'),
    ),
    (
      {'config': dataclasses.asdict(CONFIG) | {'normalize_observations': True}},
      ('does not fit', 'missing', 'variance'),
    ),
  ],
)
def test_policy_that_does_not_fit_says_why(path, changes, words):
  save(path)
  rewrite_header(path, **changes)
  with pytest.raises(ValueError) as error:
    policy_io.load_policy(path)
  assert all(word in str(error.value) for word in words), str(error.value)


BAD_HEADERS = {
  'no version': {'version': None},
  'version of text': {'version': 'one'},
  'no configuration': {'config': None},
  'configuration of another type': {'config': [1]},
  'field of another type': {'config': dataclasses.asdict(CONFIG) | {'batch_size': 'x'}},
  'no specs': {'observations': None},
  'spec without a shape': {'observations': {'dtype': 'float32', 'name': 'x'}},
  'spec of a negative shape': {
    'observations': {'shape': [-3], 'dtype': 'float32', 'name': 'x'}
  },
  'spec of no dtype': {'observations': {'shape': [3], 'dtype': 'nothing', 'name': 'x'}},
  'mapping that is none': {'observations': {'mapping': 3, 'ordered': True}},
  'actions without bounds': {
    'actions': {'shape': [2], 'dtype': 'float32', 'name': 'a'}
  },
  'metadata of another type': {'metadata': 5},
  'no metadata': {'metadata': None},
  # What would take 40 GB and more, were it made before it is compared.
  'huge layers': {
    'config': dataclasses.asdict(CONFIG) | {'hidden_layer_sizes': [100_000, 100_000]}
  },
  'huge softmax': {
    'config': dataclasses.asdict(CONFIG) | {'num_action_values': 10**10}
  },
  'many layers': {
    'config': dataclasses.asdict(CONFIG) | {'hidden_layer_sizes': [1] * 100_000}
  },
  'huge observation': {
    'observations': {'shape': [10**10], 'dtype': 'float32', 'name': 'x'}
  },
}


@pytest.mark.parametrize('kind', BAD_HEADERS)
def test_malformed_header_is_called_corrupt(path, kind):
  save(path)
  rewrite_header(path, **BAD_HEADERS[kind])
  with pytest.raises(serialization.CorruptFileError, match=path):
    policy_io.load_policy(path)


def test_strangers_archive_is_refused_before_its_arrays_are_read(path, monkeypatch):
  save(path)
  with np.load(path) as file:
    arrays = {name: file[name] for name in file.files}
  name = max(arrays, key=lambda name: arrays[name].size * (name != 'header.json'))
  monkeypatch.setattr(np, 'load', _only_headers(np.load))
  bombs = {
    'compressed': lambda: np.savez_compressed(path, **arrays),
    'of another shape': lambda: np.savez(path, **{**arrays, name: np.zeros((9, 9))}),
    'with more': lambda: np.savez(path, **arrays, more=np.zeros(10)),
  }
  for write in bombs.values():
    write()
    with pytest.raises(serialization.CorruptFileError, match=path):
      policy_io.load_policy(path)


def test_file_of_a_thousandth_of_what_it_expands_to_takes_no_memory(path):
  save(path)
  with np.load(path) as file:
    header = file['header.json']
  np.savez_compressed(path, **{'header.json': header, 'x': np.zeros(2**24, np.float32)})
  assert os.path.getsize(path) < 2**17
  tracemalloc.start()
  try:
    with pytest.raises(serialization.CorruptFileError, match='compressed'):
      policy_io.load_policy(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
  finally:
    tracemalloc.stop()


def _only_headers(load):
  class Headers:
    def __init__(self, path, **options):
      self._file = load(path, **options)

    def __enter__(self):
      return self

    def __exit__(self, *exception):
      self._file.close()

    def __getitem__(self, name):
      assert name == 'header.json', f'{name} was read'
      return self._file[name]

  return Headers


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


@pytest.mark.parametrize('family', ['multicategorical', 'gaussian'])
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
