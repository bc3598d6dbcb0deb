"""Files that are damaged, or that a stranger wrote: refused before they cost anything."""

import dataclasses
import os
import tracemalloc

import jax
import numpy as np
import pytest
from saved_policies import (
  CONFIG,
  rewrite_header,
  save,
)

from iq_acme import policy_io
from iq_acme.storage import serialization


@pytest.fixture
def path(tmp_path):
  return str(tmp_path / 'policy.npz')


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
  'huge action': {
    'actions': {
      'shape': [10**10],
      'dtype': 'int32',
      'name': 'a',
      'minimum': 0,
      'maximum': 1,
    }
  },
  'huge number of integers': {
    'actions': {'num_values': 2**40, 'shape': [], 'dtype': 'int64', 'name': 'a'}
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
