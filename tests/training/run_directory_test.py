import json
import os

import pytest

from iq_acme.storage import serialization
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
  with pytest.raises(RunDirectoryError, match=r'eval\.csv, checkpoints but no config'):
    directory.check_config(CONFIG)


def test_folder_without_results_is_accepted(directory):
  os.makedirs(directory.checkpoints)
  open(os.path.join(directory.path, 'notes.txt'), 'w').close()
  directory.check_config(CONFIG)


def test_unreadable_configuration_is_refused_by_name(used):
  with open(used.config, 'w') as file:
    file.write('{')
  with pytest.raises(RunDirectoryError, match=r'config\.json is not valid JSON'):
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


def test_cut_drops_the_rows_beyond_a_step_from_every_file(used):
  for path in (used.train, used.episodes, used.evaluations):
    with open(path, 'w') as file:
      file.write('actor_steps,x\n10,1\n20,2\n30,3\n')
  assert used.cut_after(20) == 3
  for path in (used.train, used.episodes, used.evaluations):
    with open(path) as file:
      assert file.read() == 'actor_steps,x\n10,1\n20,2\n'


def test_best_evaluation_outlives_a_resume_from_before_it(used):
  assert _keeps(used, 10, -5.0) and not _keeps(used, 11, float('nan'))
  assert _keeps(used, 21, 7.0)
  used.cut_after(20)
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
  with pytest.raises(ValueError, match=r'summary\.json is not valid JSON'):
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
