"""Runs that take no environment steps: everything is counted by SGD steps."""

import json
import os

import numpy as np
import pytest
import runner_fakes
from matplotlib import image

from iq_acme.training import metrics_files, plotting, runner
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError


def _run(workdir, *, agent=None, **changes):
  changes = {'counted_steps': 'learner_steps', **changes}
  return runner.run(
    runner_fakes.make_settings(workdir, **changes),
    runner_fakes.Task,
    lambda *parts: runner_fakes.Agent(*parts, **(agent or {})),
  )


def _steps(path):
  return [int(row['learner_steps']) for row in metrics_files.read_rows(path)]


@pytest.fixture
def directory(tmp_path):
  return RunDirectory(str(tmp_path / 'run'))


@pytest.fixture
def no_curves(monkeypatch):
  monkeypatch.setattr(plotting, 'plot_curve', lambda folder: None)


def test_a_whole_run_is_keyed_by_sgd_steps(directory):
  outcome = _run(directory.path)
  assert outcome == runner.Outcome(finished=True, step=50, exit_status=0)
  rows = metrics_files.read_rows(directory.evaluations)
  assert [row['learner_steps'] for row in rows] == [0, 10, 20, 30, 40, 50]
  assert {row['actor_steps'] for row in rows} == {0}
  # The mode of the fake policy pays its number of updates at each of 7 steps.
  assert [row['mode_return_mean'] for row in rows] == [0, 70, 140, 210, 280, 350]
  assert _steps(directory.train) == list(range(5, 51, 5))
  assert not os.path.exists(directory.episodes)
  assert len(os.listdir(directory.checkpoints)) == 3
  summary = directory.read_summary()
  assert (summary['learner_steps'], summary['finished']) == (50, True)
  best = {'learner_steps': 50, 'mode_return_mean': 350.0}
  assert summary['best_evaluation'] == best
  with open(directory.policy) as file:
    assert json.load(file)['learner_steps'] == 50
  assert image.imread(directory.curve).ndim == 3


@pytest.mark.usefixtures('no_curves')
def test_a_crashed_run_goes_on_from_its_checkpoint_and_repeats_nothing(directory):
  with pytest.raises(OSError, match='disk'):
    _run(directory.path, agent={'raise_in_learning_at': {37: OSError('disk')}})
  kept = metrics_files.read_rows(directory.evaluations)[:3]
  assert _run(directory.path).finished  # From the checkpoint at 20.
  rows = metrics_files.read_rows(directory.evaluations)
  assert [row['learner_steps'] for row in rows] == [0, 10, 20, 30, 40, 50]
  np.testing.assert_equal(rows[:3], kept)
  assert _steps(directory.train) == list(range(5, 51, 5))
  seconds = [row['training_seconds'] for row in rows]
  assert seconds == sorted(seconds)


@pytest.mark.usefixtures('no_curves')
def test_a_larger_budget_goes_on_and_a_finished_run_is_left_alone(directory, capsys):
  _run(directory.path, num_steps=43)
  assert _steps(directory.evaluations) == [0, 10, 20, 30, 40, 43]
  _run(directory.path, num_steps=43)
  assert 'already reached 43 steps' in capsys.readouterr().out
  assert _run(directory.path, num_steps=60).step == 60
  assert _steps(directory.evaluations) == [0, 10, 20, 30, 40, 43, 50, 60]


@pytest.mark.usefixtures('no_curves')
@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'counted_steps': 'actor_steps'}, 'counted_steps: "learner_steps" there'),
    ({'demonstrations': {'name': 'b', 'crc32': '1'}}, 'demonstrations.name: "a" there'),
    (
      {'demonstrations': {'name': 'a', 'crc32': '2'}},
      'demonstrations.crc32: "1" there',
    ),
    ({'demonstrations': {}}, 'demonstrations.name: "a" there, absent here'),
  ],
)
def test_the_folder_of_another_run_is_refused(directory, changes, message):
  settings = {'demonstrations': {'name': 'a', 'crc32': '1'}}
  _run(directory.path, **settings)
  with pytest.raises(RunDirectoryError, match=message):
    _run(directory.path, **{**settings, 'num_steps': 90, **changes})


@pytest.mark.usefixtures('no_curves')
def test_a_run_from_before_there_were_offline_ones_goes_on(directory):
  _run(directory.path, num_steps=20, counted_steps='actor_steps')
  config = directory.read_config()
  del config['counted_steps'], config['demonstrations']
  with open(directory.config, 'w') as file:
    json.dump(config, file)
  assert _run(directory.path, num_steps=30, counted_steps='actor_steps').step == 30
