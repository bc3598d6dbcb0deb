import gc
import os
import pathlib
import stat
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from full_disk import full_disk

from iq_acme import update
from iq_acme.storage import serialization

TREE = {
  'mlp/~/linear_0': {'w': np.arange(6, dtype=np.float32).reshape(2, 3)},
  'moments': update.IQParams(policy=np.float32([np.inf, -0.0]), value=None),
  'count': np.int32(7),
  'key': (np.uint32([1, 2**32 - 1]), [np.bool_(True)]),
}


@pytest.fixture
def path(tmp_path):
  return str(tmp_path / 'tree.npz')


SHAPES = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)


@pytest.mark.parametrize('like', [TREE, SHAPES], ids=['arrays', 'shapes'])
def test_tree_comes_back_bit_for_bit(path, like):
  serialization.save_tree(path, TREE)
  found = serialization.load_tree(path, like)
  assert type(found['moments']) is update.IQParams
  assert found['moments'].value is None
  for a, b in (
    (found['mlp/~/linear_0']['w'], TREE['mlp/~/linear_0']['w']),
    (found['moments'].policy, TREE['moments'].policy),
    (found['count'], TREE['count']),
    (found['key'][0], TREE['key'][0]),
    (found['key'][1][0], TREE['key'][1][0]),
  ):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def test_arrays_of_jax_are_kept_too(path):
  serialization.save_tree(path, {'x': jnp.arange(3.0)})
  found = serialization.load_tree(path, {'x': jnp.zeros(3)})['x']
  np.testing.assert_array_equal(found, np.float32([0, 1, 2]))


def test_header_comes_back(path):
  header = {'name': 'gym:Hopper-v4', 'nested': {'a': [1, 2.5, None]}}
  serialization.save_tree(path, TREE, header)
  assert serialization.load_header(path) == header


def test_header_is_empty_by_default(path):
  serialization.save_tree(path, TREE)
  assert serialization.load_header(path) == {}


def test_missing_folder_is_made(tmp_path):
  path = str(tmp_path / 'a' / 'b' / 'tree.npz')
  serialization.save_tree(path, TREE)
  assert os.path.exists(path)


@pytest.mark.parametrize(
  ('like', 'words'),
  [
    ({'a': np.zeros(3, np.float32)}, ('missing ["[\'a\']"]', 'not expected')),
    (
      {'x': np.zeros(3, np.float32), 'y': np.zeros(1)},
      ('missing ["[\'y\']"]', 'not expected nothing'),
    ),
    ({}, ('missing nothing', 'not expected ["[\'x\']"]')),
    ({'x': np.zeros(4, np.float32)}, ("['x'] is float32[3]", 'expected float32[4]')),
    ({'x': np.zeros((3, 1), np.float32)}, ('float32[3]', 'expected float32[3, 1]')),
    ({'x': np.zeros(3, np.int32)}, ('float32[3]', 'expected int32[3]')),
  ],
)
def test_file_of_another_configuration_is_refused_by_name(path, like, words):
  serialization.save_tree(path, {'x': np.zeros(3, np.float32)})
  with pytest.raises(ValueError) as error:
    serialization.load_tree(path, like)
  assert not isinstance(error.value, serialization.CorruptFileError)
  assert all(word in str(error.value) for word in (path, *words)), str(error.value)


def test_missing_file_is_not_called_corrupt(path):
  for load in (serialization.load_header, lambda p: serialization.load_tree(p, TREE)):
    with pytest.raises(FileNotFoundError):
      load(path)


def test_every_truncation_is_called_corrupt(path):
  serialization.save_tree(path, {'x': np.arange(3.0)}, {'a': 1})
  with open(path, 'rb') as file:
    data = file.read()
  for size in range(len(data)):
    with open(path, 'wb') as file:
      file.write(data[:size])
    with pytest.raises(serialization.CorruptFileError, match='damaged'):
      serialization.load_header(path)


def test_every_damaged_byte_is_noticed_or_harmless(path):
  tree, header = {'x': np.arange(3.0)}, {'a': 1}
  serialization.save_tree(path, tree, header)
  with open(path, 'rb') as file:
    data = file.read()
  noticed = 0
  for position in range(len(data)):
    damaged = bytearray(data)
    damaged[position] ^= (1, 8, 255)[position % 3]
    with open(path, 'wb') as file:
      file.write(damaged)
    try:
      np.testing.assert_array_equal(serialization.load_tree(path, tree)['x'], tree['x'])
      assert serialization.load_header(path) == header
    except serialization.CorruptFileError:
      noticed += 1
  assert noticed > len(data) / 2  # Time stamps and the like do no harm.


def save_npy(path):
  with open(path, 'wb') as file:
    np.save(file, np.zeros(3))


def save_elements_without_size(path):
  serialization.save_tree(path, TREE)
  description = {'descr': '|V0', 'fortran_order': False, 'shape': (10**12,)}
  with zipfile.ZipFile(path, 'a') as archive, archive.open('x.npy', 'w') as file:
    np.lib.format.write_array_header_1_0(file, description)


FOREIGN = {
  'compressed': lambda path: np.savez_compressed(
    path, **{'header.json': np.frombuffer(b'{}', np.uint8)}
  ),
  'elements without size': save_elements_without_size,
  'text': lambda path: pathlib.Path(path).write_text('not an archive'),
  'empty': lambda path: pathlib.Path(path).touch(),
  'npy': save_npy,
  'npz': lambda path: np.savez(path, x=np.zeros(3)),
  'pickled': lambda path: np.savez(path, **{'header.json': np.array([{}], object)}),
  'header of text': lambda path: np.savez(
    path, **{'header.json': np.frombuffer(b'{"a"', np.uint8)}
  ),
  'header of a list': lambda path: np.savez(
    path, **{'header.json': np.frombuffer(b'[1]', np.uint8)}
  ),
}


@pytest.mark.parametrize('kind', FOREIGN)
def test_foreign_file_is_refused(path, kind):
  FOREIGN[kind](path)
  with pytest.raises(serialization.CorruptFileError) as error:
    serialization.load_header(path)
  assert path in str(error.value)
  assert 'was not written by this package' in str(error.value)


def test_folder_is_no_damaged_file(path):
  os.mkdir(path)
  with pytest.raises(IsADirectoryError, match=path):
    serialization.load_header(path)


@pytest.mark.parametrize('header', [{'a': object()}, {'a': {1, 2}}])
def test_failed_write_leaves_the_old_file_and_nothing_else(path, tmp_path, header):
  serialization.save_tree(path, {'x': np.zeros(3)}, {'old': True})
  with pytest.raises(TypeError):
    serialization.save_tree(path, {'x': np.ones(3)}, header)
  assert serialization.load_header(path) == {'old': True}
  assert os.listdir(tmp_path) == ['tree.npz']


def test_write_that_is_interrupted_leaves_the_old_file_and_nothing_else(
  path, tmp_path, monkeypatch
):
  serialization.save_tree(path, {'x': np.zeros(3)}, {'old': True})

  def interrupted(file, **arrays):
    file.write(b'half of it')
    raise KeyboardInterrupt

  monkeypatch.setattr(np, 'savez', interrupted)
  with pytest.raises(KeyboardInterrupt):
    serialization.save_tree(path, {'x': np.ones(3)})
  assert serialization.load_header(path) == {'old': True}
  assert os.listdir(tmp_path) == ['tree.npz']


@pytest.mark.parametrize(('umask', 'mode'), [(0o022, 0o644), (0o027, 0o640)])
def test_file_is_as_readable_as_the_umask_lets_any_file_be(path, umask, mode):
  before = os.umask(umask)
  try:
    for _ in range(2):  # A new file, and one in the place of another.
      serialization.save_tree(path, {'x': np.zeros(3)})
      assert stat.S_IMODE(os.stat(path).st_mode) == mode
  finally:
    os.umask(before)


def test_second_save_replaces_the_first(path, tmp_path):
  for value in (1.0, 2.0):
    serialization.save_tree(path, {'x': np.full(3, value)})
  np.testing.assert_array_equal(
    serialization.load_tree(path, {'x': np.zeros(3)})['x'], [2.0] * 3
  )
  assert os.listdir(tmp_path) == ['tree.npz']


@pytest.mark.filterwarnings('error::pytest.PytestUnraisableExceptionWarning')
def test_a_full_disk_is_one_error_and_leaves_the_old_file(path, tmp_path):
  tree = {'x': np.arange(1000.0)}
  serialization.save_tree(path, tree)
  with full_disk(1000), pytest.raises(OSError, match='too large'):
    serialization.save_tree(path, tree)
  gc.collect()  # What an archive that was left half open would complain in.
  np.testing.assert_array_equal(serialization.load_tree(path, tree)['x'], tree['x'])
  assert os.listdir(tmp_path) == ['tree.npz']
