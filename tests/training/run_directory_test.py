import errno
import fcntl
import json
import os
import pathlib

import pytest
from absl import logging

from iq_acme.storage import serialization
from iq_acme.storage.files import DamagedFileError
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError

CONFIG = {'seed': 1, 'num_steps': 100, 'agent': {'width': 4, 'sizes': (8, 8)}}


@pytest.fixture
def directory(tmp_path):
  return RunDirectory(str(tmp_path / 'run'))


@pytest.fixture
def used(directory):
  with directory.lock():
    directory.write_config(CONFIG)
  return directory


def test_second_run_in_a_folder_is_refused_with_the_first_ones_process(directory):
  with (
    directory.lock(),
    pytest.raises(RunDirectoryError, match=f'process {os.getpid()}'),
    RunDirectory(directory.path).lock(),
  ):
    pass


def test_lock_ends_with_its_block_also_when_that_raises(directory):
  with pytest.raises(KeyError), directory.lock():
    raise KeyError
  with directory.lock():
    pass


def test_same_configuration_is_accepted(used):
  used.check_config(CONFIG)


def test_other_configuration_is_refused_listing_every_field_that_differs(used):
  other = {'seed': 2, 'num_steps': 100, 'agent': {'width': 5, 'sizes': (8, 8)}}
  with pytest.raises(RunDirectoryError) as refusal:
    used.check_config(other)
  text = str(refusal.value)
  assert 'seed: 1 there, 2 here' in text
  assert 'agent.width: 4 there, 5 here' in text
  assert 'sizes' not in text and 'num_steps' not in text


def test_field_that_the_folders_version_lacked_stands_at_its_default(used):
  wanted = {**CONFIG, 'agent': {**CONFIG['agent'], 'depth': 2}}
  used.check_config(wanted, {'agent': {'depth': 2, 'width': 9}})
  with pytest.raises(RunDirectoryError, match=r'agent\.depth: 1 there, 2 here'):
    used.check_config(wanted, {'agent': {'depth': 1}})


def test_field_on_one_side_only_is_a_difference(used):
  with pytest.raises(RunDirectoryError, match=r'agent\.width: 4 there, absent here'):
    used.check_config({**CONFIG, 'agent': {'sizes': (8, 8)}})
  with pytest.raises(RunDirectoryError, match='depth: absent there, 2 here'):
    used.check_config({**CONFIG, 'depth': 2})


def test_larger_budget_is_accepted_and_recorded(used):
  used.check_config({**CONFIG, 'num_steps': 200})
  used.write_config({**CONFIG, 'num_steps': 200})
  with open(used.config) as file:
    assert json.load(file)['num_steps'] == 200


def test_smaller_budget_is_refused(used):
  with pytest.raises(RunDirectoryError, match='num_steps: 100 there, 99 here'):
    used.check_config({**CONFIG, 'num_steps': 99})


def test_refusal_leaves_the_folder_as_it_was(used):
  before = _contents(used)
  with pytest.raises(RunDirectoryError):
    used.check_config({})
  assert _contents(used) == before


def test_results_of_unknown_origin_are_refused(directory):
  os.makedirs(os.path.join(directory.checkpoints, 'step_1'))
  open(directory.evaluations, 'w').close()
  with pytest.raises(RunDirectoryError, match=r'checkpoints, eval\.csv but no config'):
    directory.check_config(CONFIG)


@pytest.mark.parametrize('name', ['thesis.tex', '.bashrc', 'src/main.py'])
def test_folder_of_anything_but_logs_is_refused_and_left_as_it_was(directory, name):
  path = pathlib.Path(directory.path, name)
  path.parent.mkdir(parents=True)
  path.write_text('mine')
  before = sorted(pathlib.Path(directory.path).rglob('*'))
  with (
    pytest.raises(RunDirectoryError, match=f'holds {name.split("/")[0]} but no config'),
    directory.lock(),
  ):
    directory.check_config(CONFIG)
  assert sorted(pathlib.Path(directory.path).rglob('*')) == before


def test_folder_of_logs_or_of_a_run_killed_at_its_start_is_accepted(directory):
  os.makedirs(directory.checkpoints)
  os.makedirs(os.path.join(directory.path, '.replay_x', 'y'))
  for name in ('log.txt', 'nohup.out', 'job.log', '.agent.lock'):
    open(os.path.join(directory.path, name), 'w').close()
  with directory.lock():
    directory.check_config(CONFIG)


def test_run_that_comes_to_nothing_leaves_no_folder(tmp_path):
  (tmp_path / 'there').mkdir()
  directory = RunDirectory(str(tmp_path / 'there' / 'a' / 'b'))
  with pytest.raises(KeyError), directory.lock():
    os.makedirs(directory.checkpoints)  # As an agent does before it is refused.
    open(os.path.join(directory.path, '.agent.lock'), 'w').close()
    raise KeyError
  assert os.listdir(tmp_path / 'there') == []


def test_leftovers_of_killed_processes_go_when_the_next_one_has_the_lock(used):
  left, kept = '.4711.0a1b2c3d.policy.npz', '.4711.notes'
  for folder in (used.path, os.path.join(used.path, 'logs')):
    os.makedirs(folder, exist_ok=True)
    for name in (left, kept):
      open(os.path.join(folder, name), 'w').close()
  with used.lock():
    for folder in (used.path, os.path.join(used.path, 'logs')):
      assert kept in os.listdir(folder) and left not in os.listdir(folder)


def test_file_system_without_locks_is_used_with_a_warning(directory, monkeypatch):
  def flock(*unused):
    raise OSError(errno.ENOLCK, 'No locks available')

  monkeypatch.setattr(fcntl, 'flock', flock)
  said = []
  monkeypatch.setattr(logging, 'warning', lambda *words: said.append(words))
  with directory.lock(), directory.lock():
    directory.write_config(CONFIG)
  assert len(said) == 2 and directory.path in said[0][1]
  assert 'has no locks' in said[0][0]


@pytest.mark.parametrize('code', [errno.EIO, errno.EBADF])
def test_lock_that_fails_otherwise_is_no_lock(directory, monkeypatch, code):
  def flock(*unused):
    raise OSError(code, 'broken')

  monkeypatch.setattr(fcntl, 'flock', flock)
  with pytest.raises((OSError, RunDirectoryError), match='broken'), directory.lock():
    pass


DAMAGES = {
  'summary.json': [
    *('[1]', '[' * 99999, '{"actor_steps": "many"}', '{"training_seconds": null}'),
    *('{"best_evaluation": {}}', '{"best_evaluation": 3}', '{"finished": "yes"}'),
  ],
  'versions.json': ['{}', '{"'],
  'config.json': ['[]', 'nonsense', '{"agent": 3}', '{"env_name": ["x"]}'],
  'eval.csv': [
    'actor_steps,x\n1,2\nabc,def\n',
    'actor_steps,x\n,2\n',
    'a,b\n1,2\n',
    'actor_steps,x\n1\n',
  ],
  'episodes.csv': [b'\xff\xfe\x00\n', 'actor_steps\n\n', 'actor_steps\n1,2\n'],
  'train.csv': ['actor_steps,learner_steps\n\0\0\n', 'actor_steps\n1\n'],
  'checkpoints': ['a file'],
  'tensorboard': ['a file'],
  'logs': ['a file'],
  'policy.npz': [None],  # A folder.
  'train.csv ': [None],
  'summary.json ': [None],
}


@pytest.mark.parametrize(
  ('name', 'content'),
  [(name, each) for name in DAMAGES for each in DAMAGES[name]],
  ids=lambda value: str(value)[:30],
)
def test_damaged_record_is_refused_by_its_name_and_with_what_to_do(used, name, content):
  path = pathlib.Path(used.path, name.strip())
  if content is None:
    path.mkdir()
  else:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(DamagedFileError, match=r'(mend|move)') as refusal:
    used.check_files()
    used.check_config(CONFIG)
  assert str(path) in str(refusal.value) and '\n' not in str(refusal.value)


def test_best_policy_with_a_senseless_record_counts_as_none(used):
  serialization.save_tree(used.best_policy, {}, {'metadata': {'evaluation': 'good'}})
  assert _keeps(used, 10, -5.0)


def test_unreadable_configuration_is_refused_by_name(used):
  with open(used.config, 'w') as file:
    file.write('{')
  with pytest.raises(
    DamagedFileError, match=r'config\.json is damaged.*move the whole folder'
  ):
    used.check_config(CONFIG)


def test_each_start_adds_its_versions(used):
  used.add_versions({'python': '3.10'})
  used.add_versions({'python': '3.11'})
  with open(used.versions) as file:
    assert json.load(file) == [{'python': '3.10'}, {'python': '3.11'}]


def test_summary_keeps_what_is_not_replaced(used):
  assert used.read_summary() == {}
  used.update_summary(a=1, b=2)
  used.update_summary(b=3)
  assert used.read_summary() == {'a': 1, 'b': 3}


def test_cut_drops_what_lies_beyond_a_checkpoint_train_csv_by_its_sgd_steps(used):
  # Actors were ahead: SGD step 4, of the checkpoint of step 20, was logged at step 21.
  rows = 'actor_steps,learner_steps\n10,2\n{}30,6\n'
  for path in (used.train, used.episodes, used.evaluations):
    with open(path, 'w') as file:
      file.write(rows.format('21,4\n'))
  assert used.cut_after(20, 4) == 5
  kept = {
    used.train: 'actor_steps,learner_steps\n10,2\n21,4\n',
    used.episodes: 'actor_steps,learner_steps\n10,2\n',
    used.evaluations: 'actor_steps,learner_steps\n10,2\n',
  }
  for path, text in kept.items():
    with open(path) as file:
      assert file.read() == text


def test_best_evaluation_outlives_a_resume_from_before_it(used):
  assert _keeps(used, 10, -5.0) and not _keeps(used, 11, float('nan'))
  assert _keeps(used, 21, 7.0)
  used.cut_after(20, 4)
  assert not _keeps(used, 21, 7.0) and _keeps(used, 22, 7.5)


def test_best_policy_outlives_a_kill_before_its_summary(used):
  assert _keeps(used, 10, 1.0)
  before = used.read_summary()
  assert _keeps(used, 20, 3.0)
  used.update_summary(**before)  # As if the second had been killed before this.
  assert not _keeps(used, 30, 2.0) and _keeps(used, 40, 4.0)
  assert used.read_summary()['best_evaluation'] == {
    'actor_steps': 40,
    'mode_return_mean': 4.0,
  }


def test_best_evaluation_of_the_summary_counts_where_the_policy_is_damaged(used):
  assert _keeps(used, 10, 5.0)
  with open(used.best_policy, 'w') as file:
    file.write('cut off')
  assert not _keeps(used, 20, 4.0) and _keeps(used, 30, 6.0)


def test_damaged_records_are_named(used):
  with open(used.summary, 'w'):
    pass
  with pytest.raises(ValueError, match=r'summary\.json is damaged.*or remove it'):
    used.read_summary()


def test_a_file_is_refused_as_a_folder(tmp_path):
  path = tmp_path / 'file'
  path.write_text('x')
  with (
    pytest.raises(RunDirectoryError, match="cannot be a run's folder"),
    RunDirectory(str(path)).lock(),
  ):
    pass


def _keeps(directory, step, mean):
  saved = []

  def save(path, evaluation):
    saved.append(path)
    serialization.save_tree(path, {}, {'metadata': {'evaluation': evaluation}})

  directory.keep_best({'actor_steps': step, 'mode_return_mean': mean, 'x': 0}, save)
  assert saved in ([], [directory.best_policy])
  return bool(saved)


def _contents(directory):
  contents = {}
  for name in os.listdir(directory.path):
    with open(os.path.join(directory.path, name)) as file:
      contents[name] = file.read()
  return contents
