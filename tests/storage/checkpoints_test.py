import json
import os
import stat
import zlib

import pytest
from absl import logging

from iq_acme.storage.checkpoints import CheckpointStore, DamagedCheckpointsError


def writer(**files):
  """Writes files of the given text; a double underscore stands for a folder."""

  def write(directory):
    for name, text in files.items():
      path = os.path.join(directory, *name.split('__'))
      os.makedirs(os.path.dirname(path), exist_ok=True)
      with open(path, 'w') as file:
        file.write(text)

  return write


def read(info, name='data'):
  with open(os.path.join(info.path, name)) as file:
    return file.read()


def steps(store):
  return [info.actor_steps for info in store.checkpoints()]


@pytest.fixture
def store(tmp_path):
  return CheckpointStore(str(tmp_path), keep=3)


def test_new_store_has_no_checkpoint_and_makes_its_folder(tmp_path):
  directory = tmp_path / 'a' / 'b'
  store = CheckpointStore(str(directory))
  assert directory.is_dir()
  assert store.latest() is None
  assert store.checkpoints() == []


def test_checkpoint_holds_what_was_written_and_says_its_size(store):
  info = store.save(7, writer(data='12345', replay__table='123'))
  assert info.actor_steps == 7
  assert info.num_bytes == 5 + 3
  assert read(info) == '12345'
  assert read(info, os.path.join('replay', 'table')) == '123'
  assert store.latest() == info


def test_newest_come_first_by_steps_and_not_by_time(store):
  for step in (5, 100, 20):
    store.save(step, writer(data=str(step)))
  assert steps(store) == [100, 20, 5]
  assert read(store.latest()) == '100'


@pytest.mark.parametrize('keep', [1, 2])
def test_only_the_newest_are_kept(tmp_path, keep):
  store = CheckpointStore(str(tmp_path), keep)
  for step in (1, 2, 3, 4):
    store.save(step, writer(data='x'))
  assert steps(store) == [4, 3][:keep]
  assert len(os.listdir(tmp_path)) == keep


@pytest.mark.parametrize('keep', [0, -1])
def test_keeping_none_is_refused(tmp_path, keep):
  with pytest.raises(ValueError, match=f'keep_checkpoints is {keep}; .* at least 1'):
    CheckpointStore(str(tmp_path), keep)


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt, SystemExit])
def test_write_that_fails_leaves_nothing_and_keeps_the_previous(store, tmp_path, error):
  store.save(1, writer(data='good'))

  def write(directory):
    writer(data='half')(directory)
    raise error

  for step in (1, 2):
    with pytest.raises(error):
      store.save(step, write)
    assert steps(store) == [1]
    assert read(store.latest()) == 'good'
    assert len(os.listdir(tmp_path)) == 1


def test_same_step_saved_twice_holds_the_second(store, tmp_path):
  store.save(4, writer(data='first', more='x'))
  info = store.save(4, writer(data='second'))
  assert steps(store) == [4]
  assert read(store.latest()) == read(info) == 'second'
  assert not os.path.exists(os.path.join(info.path, 'more'))
  assert len(os.listdir(tmp_path)) == 1


def damage(path, kind):
  data, manifest = os.path.join(path, 'data'), os.path.join(path, 'manifest.json')
  if kind == 'cut off':
    os.truncate(data, 2)
  elif kind == 'grown':
    with open(data, 'a') as file:
      file.write('more')
  elif kind == 'missing file':
    os.unlink(data)
  elif kind == 'missing manifest':
    os.unlink(manifest)
  elif kind == 'cut off manifest':
    os.truncate(manifest, os.path.getsize(manifest) // 2)
  elif kind == 'empty manifest':
    os.truncate(manifest, 0)
  else:
    with open(manifest, 'w') as file:
      json.dump(kind, file)


@pytest.mark.parametrize(
  'kind',
  [
    'cut off',
    'grown',
    'missing file',
    'missing manifest',
    'cut off manifest',
    'empty manifest',
    None,
    [],
    {},
    {'files': None},
    {'files': ['data']},
    {'files': {'data': '6'}},
    {'files': {'data': 6}, 'crc32': [1, 2]},
    {'files': {'data': 6}, 'crc32': {'data': 'none'}},
  ],
  ids=str,
)
def test_damaged_checkpoint_is_passed_over_for_the_previous(store, kind):
  store.save(1, writer(data='first'))
  damaged = store.save(2, writer(data='second'))
  damage(damaged.path, kind)
  assert steps(store) == [1]
  assert read(store.latest()) == 'first'
  # Making it again mends it.
  store.save(2, writer(data='again'))
  assert steps(store) == [2, 1]
  assert read(store.latest()) == 'again'


def test_damaged_checkpoint_does_not_count_as_one_to_keep(tmp_path):
  store = CheckpointStore(str(tmp_path), keep=2)
  for step in (1, 2):
    store.save(step, writer(data='x'))
  damage(os.path.join(tmp_path, 'step_000000000002'), 'missing manifest')
  store.save(3, writer(data='x'))
  assert steps(store) == [3, 1]


def test_file_added_later_does_no_harm(store):
  info = store.save(1, writer(data='x'))
  writer(notes='mine')(info.path)
  assert store.latest() == info


@pytest.mark.parametrize(
  'name', ['tmp_abc', 'notes', 'step_5', 'step_000000000009.txt']
)
def test_folder_that_is_no_finished_checkpoint_is_not_picked(store, tmp_path, name):
  whole = store.save(1, writer(data='x'))
  os.rename(whole.path, tmp_path / name)
  assert store.latest() is None


def test_leftovers_of_a_killed_process_go_with_the_next_save(store, tmp_path):
  writer(data='half')(str(tmp_path / 'tmp_killed'))
  writer(data='mine')(str(tmp_path / 'notes'))
  store.save(1, writer(data='x'))
  assert sorted(os.listdir(tmp_path)) == ['notes', 'step_000000000001']


def test_leftovers_of_a_killed_process_go_with_the_next_start(store, tmp_path):
  whole = store.save(1, writer(data='x'))
  writer(data='half')(str(tmp_path / 'tmp_killed'))
  assert store.latest_intact() == whole
  assert os.listdir(tmp_path) == ['step_000000000001']


def test_checkpoint_moved_aside_is_picked_where_its_successor_is_missing(
  store, tmp_path
):
  # Killed between the two renames of a second save after the same step.
  info = store.save(3, writer(data='first'))
  os.rename(info.path, f'{info.path}.old')
  assert read(store.latest()) == 'first'
  store.save(3, writer(data='second'))
  assert read(store.latest()) == 'second'
  assert len(os.listdir(tmp_path)) == 1


def test_successor_is_preferred_to_the_checkpoint_it_replaced(tmp_path, monkeypatch):
  # Killed after the renames, before the old one was removed. Whatever order the
  # file system lists them in, the new one counts.
  store = CheckpointStore(str(tmp_path))
  info = store.save(3, writer(data='first'))
  os.rename(info.path, tmp_path / 'aside')
  store.save(3, writer(data='second'))
  os.rename(tmp_path / 'aside', f'{info.path}.old')
  for reverse in (False, True):
    names = sorted(os.listdir(tmp_path), reverse=reverse)
    monkeypatch.setattr(os, 'listdir', lambda _, names=names: names)
    assert read(store.latest()) == 'second'


def test_failed_rename_keeps_the_checkpoint_of_the_same_step(store, monkeypatch):
  store.save(3, writer(data='first'))
  rename = os.rename

  def failing(source, target):
    if 'tmp_' in source:
      raise OSError('no space left')
    rename(source, target)

  monkeypatch.setattr(os, 'rename', failing)
  with pytest.raises(OSError, match='no space'):
    store.save(3, writer(data='second'))
  assert read(store.latest()) == 'first'


def test_another_store_of_the_folder_sees_the_checkpoints(store, tmp_path):
  store.save(11, writer(data='x'))
  again = CheckpointStore(str(tmp_path), keep=3)
  assert again.checkpoints() == store.checkpoints()


def flip_a_bit(path):
  """Damages a file as a failing disk does: same size, another content."""
  with open(path, 'r+b') as file:
    (byte,) = file.read(1)
    file.seek(0)
    file.write(bytes([byte ^ 1]))


@pytest.fixture
def warnings(monkeypatch):
  lines = []
  monkeypatch.setattr(
    logging, 'warning', lambda message, *args: lines.append(message % args)
  )
  return lines


@pytest.mark.parametrize('name', ['data', os.path.join('replay', 'table')])
def test_rotten_bit_is_noticed_before_a_restore_and_the_previous_taken(
  store, warnings, name
):
  for step in (1, 2):
    store.save(step, writer(data=f'data {step}', replay__table='x' * 3_000_000))
  rotten = store.latest()
  flip_a_bit(os.path.join(rotten.path, name))
  assert store.latest() == rotten  # By its sizes alone, it is whole.
  info = store.latest_intact()
  assert (info.actor_steps, read(info)) == (1, 'data 1')
  (line,) = warnings
  for word in (rotten.path, name, info.path, f'{rotten.path}.damaged'):
    assert word in line
  # Kept, and in nobody's way.
  assert os.path.exists(f'{rotten.path}.damaged')
  assert steps(store) == [1]
  assert store.latest_intact() == info
  assert len(warnings) == 1


def test_intact_checkpoint_is_taken_without_a_word(store, warnings):
  assert store.latest_intact() is None
  for step in (1, 2):
    info = store.save(step, writer(data=str(step)))
  assert store.latest_intact() == info
  assert warnings == []


@pytest.mark.parametrize('kind', ['cut off', 'missing file', 'missing manifest'])
def test_checkpoint_of_other_sizes_is_moved_aside_too(store, warnings, kind):
  store.save(1, writer(data='first'))
  damage(store.save(2, writer(data='second')).path, kind)
  assert read(store.latest_intact()) == 'first'
  assert len(warnings) == 1


def test_damaged_checkpoint_does_not_cost_a_new_one_its_place(tmp_path, warnings):
  store = CheckpointStore(str(tmp_path), keep=2)
  for step in (10, 20):
    store.save(step, writer(data=str(step)))
  flip_a_bit(os.path.join(store.latest().path, 'data'))
  store = CheckpointStore(str(tmp_path), keep=1)
  assert store.latest_intact().actor_steps == 10
  assert os.path.exists(store.save(15, writer(data='15')).path)
  assert steps(store) == [15]


def test_where_all_are_damaged_nothing_is_moved_and_all_are_named(store, warnings):
  paths = [store.save(step, writer(data='x')).path for step in (1, 2)]
  flip_a_bit(os.path.join(paths[0], 'data'))
  damage(paths[1], 'cut off manifest')
  with pytest.raises(DamagedCheckpointsError, match=r'move .* away') as error:
    store.latest_intact()
  assert all(path in str(error.value) for path in paths)
  assert all(map(os.path.exists, paths))
  assert warnings == []


def test_checkpoint_from_before_there_were_checksums_is_restored(store, warnings):
  info = store.save(1, writer(data='x'))
  path = os.path.join(info.path, 'manifest.json')
  with open(path) as file:
    manifest = json.load(file)
  assert manifest.pop('crc32') == {'data': zlib.crc32(b'x')}
  with open(path, 'w') as file:
    json.dump(manifest, file)
  assert store.latest_intact() == info
  assert warnings == []


@pytest.mark.parametrize(('umask', 'mode'), [(0o022, 0o755), (0o027, 0o750)])
def test_folder_is_as_open_as_the_umask_lets_any_folder_be(store, umask, mode):
  before = os.umask(umask)
  try:
    info = store.save(1, writer(data='x'))
  finally:
    os.umask(before)
  assert stat.S_IMODE(os.stat(info.path).st_mode) == mode
