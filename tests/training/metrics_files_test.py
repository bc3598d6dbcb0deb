import os
import subprocess
import sys

import numpy as np
import pytest
from repository import ROOT

from iq_acme.training import events, metrics_files
from iq_acme.training.metrics_files import CsvFile, MultiLogger


@pytest.fixture
def path(tmp_path):
  return str(tmp_path / 'log.csv')


def _text(path):
  with open(path) as file:
    return file.read()


def test_first_row_fixes_the_columns_and_each_row_is_there_at_once(path):
  log = CsvFile(path)
  log.write({'actor_steps': 1, 'loss': np.float32(0.5)})
  assert _text(path) == 'actor_steps,loss\n1,0.5\n'
  log.write({'loss': np.array([0.25]), 'actor_steps': 2})
  assert _text(path) == 'actor_steps,loss\n1,0.5\n2,0.25\n'


def test_unknown_later_column_is_refused_by_name(path):
  log = CsvFile(path)
  log.write({'actor_steps': 1})
  with pytest.raises(ValueError, match='entropy'):
    log.write({'actor_steps': 2, 'entropy': 1.0})
  assert _text(path) == 'actor_steps\n1\n'


def test_missing_column_is_left_empty_and_read_as_nan(path):
  log = CsvFile(path)
  log.write({'actor_steps': 1, 'loss': 0.5})
  log.write({'actor_steps': 2})
  first, second = metrics_files.read_rows(path)
  assert first == {'actor_steps': 1.0, 'loss': 0.5}
  assert np.isnan(second['loss'])


def test_existing_file_is_appended_to_with_its_own_columns(path):
  with open(path, 'w') as file:
    file.write('actor_steps,loss\n1,0.5\n')
  log = CsvFile(path)
  log.write({'loss': 0.25, 'actor_steps': 2})
  log.close()
  assert _text(path) == 'actor_steps,loss\n1,0.5\n2,0.25\n'


def test_file_of_an_older_version_gets_the_columns_it_lacks_at_the_first_row(path):
  with open(path, 'w') as file:
    file.write('actor_steps,loss\n1,0.5\n2,0.2')  # The last line was cut off.
  log = CsvFile(path)
  log.write({'loss': 0.25, 'actor_steps': 3, 'entropy': 1.0})
  assert _text(path) == 'actor_steps,loss,entropy\n1,0.5,\n3,0.25,1.0\n'
  with pytest.raises(ValueError, match='value'):
    log.write({'actor_steps': 4, 'value': 1.0})


def test_no_row_no_file(path):
  CsvFile(path).close()
  assert not os.path.exists(path)


def test_array_is_no_cell(path):
  with pytest.raises(ValueError, match=r'\(2,\)'):
    CsvFile(path).write({'loss': np.zeros(2)})


def test_unfinished_line_is_not_read_and_is_cut(path):
  with open(path, 'w') as file:
    file.write('actor_steps,loss\n1,0.5\n2,0.2')
  assert len(metrics_files.read_rows(path)) == 1
  assert metrics_files.cut_rows(path, last_step=100) == 1
  assert _text(path) == 'actor_steps,loss\n1,0.5\n'


def test_unfinished_header_is_cut_and_written_anew(path):
  with open(path, 'w') as file:
    file.write('actor_st')
  metrics_files.cut_rows(path, last_step=100)
  CsvFile(path).write({'actor_steps': 1})
  assert _text(path) == 'actor_steps\n1\n'


def test_rows_beyond_a_step_are_cut_wherever_the_column_is(path):
  with open(path, 'w') as file:
    file.write('loss,actor_steps\n9,1\n9,5\n9,6\n')
  assert metrics_files.cut_rows(path, last_step=5) == 1
  assert _text(path) == 'loss,actor_steps\n9,1\n9,5\n'


def test_cut_that_fails_loses_nothing(path, monkeypatch):
  content = 'actor_steps\n1\n2\n'
  with open(path, 'w') as file:
    file.write(content)

  def fail(*unused):
    raise OSError('no space left')

  monkeypatch.setattr(os, 'replace', fail)
  with pytest.raises(OSError, match='no space left'):
    metrics_files.cut_rows(path, last_step=1)
  assert _text(path) == content
  assert os.listdir(os.path.dirname(path)) == ['log.csv']


def test_cut_of_a_file_that_is_not_there_is_nothing(path):
  assert metrics_files.cut_rows(path, last_step=1) == 0
  assert metrics_files.read_rows(path) == []


def test_position_comes_first_and_gives_way_to_the_rows_own(path):
  log = MultiLogger([CsvFile(path)], lambda: {'actor_steps': 7, 'learner_steps': 1})
  log.write({'loss': 0.5, 'learner_steps': 2})
  log.close()
  assert _text(path) == 'actor_steps,learner_steps,loss\n7,2,0.5\n'


def test_tensorboard_forgets_what_lies_beyond_the_resumed_step(tmp_path):
  folder = str(tmp_path / 'tensorboard')
  events.mark_start(folder, 0)

  def write(steps, value):
    log = events.TensorBoard(folder, 'evaluation')
    for step in steps:
      log.write({'actor_steps': step, 'return_mean': value, 'note': 'no number'})
    log.close()

  write([10, 20, 30], 1.0)
  # File names hold whole seconds; a resumed run comes later than the first one.
  for name in os.listdir(folder):
    os.rename(os.path.join(folder, name), os.path.join(folder, _earlier(name)))
  events.mark_start(folder, 20)
  write([30, 40], 2.0)

  # The reader that TensorBoard itself uses.
  from tensorboard.backend.event_processing import plugin_event_accumulator
  from tensorboard.util import tensor_util

  read = plugin_event_accumulator.EventAccumulator(folder)
  read.Reload()
  (tag,) = (tag for tag in read.Tags()['tensors'] if 'Return' in tag)
  assert [event.step for event in read.Tensors(tag)] == [10, 20, 30, 40]
  values = [tensor_util.make_ndarray(e.tensor_proto) for e in read.Tensors(tag)]
  assert values == [1.0, 1.0, 2.0, 2.0]


def test_tensorboard_lists_scalars_that_were_written_without_tensorflow(tmp_path):
  code = f"""
import sys
sys.modules['tensorflow'] = None
import numpy as np
from iq_acme.training import events, metrics_files
events.mark_start({str(tmp_path)!r}, 0)
log = events.TensorBoard({str(tmp_path)!r}, 'learner')
log.write({{'actor_steps': 7, 'loss': np.float32(0.5), 'td_error_mean': 2, 'x': 'text'}})
log.write({{'actor_steps': 8, 'loss': float('nan'), 'td_error_mean': np.int64(3)}})
"""  # Not closed: each row is there at once.
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  from tensorboard.backend.event_processing import event_accumulator

  read = event_accumulator.EventAccumulator(str(tmp_path))
  read.Reload()
  assert sorted(read.Tags()['scalars']) == ['learner/Loss', 'learner/TdErrorMean']
  found = [(event.step, event.value) for event in read.Scalars('learner/TdErrorMean')]
  assert found == [(7, 2.0), (8, 3.0)]
  loss, nan = read.Scalars('learner/Loss')
  assert loss.value == 0.5 and np.isnan(nan.value)


def _earlier(name):
  prefix, _, rest = name.removeprefix('events.out.tfevents.').partition('.')
  return f'events.out.tfevents.{int(prefix) - 60}.{rest}'
