import json
import os
import signal
import time

import numpy as np
import pytest
import runner_fakes

from iq_acme.training import metrics_files, plotting, runner
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError


def _run(workdir, make_environment=runner_fakes.Task, *, agent=None, **changes):
  agent_options = agent or {}
  return runner.run(
    runner_fakes.make_settings(workdir, **changes),
    make_environment,
    lambda *parts: runner_fakes.Agent(*parts, **agent_options),
  )


def _steps(path):
  return [int(row['actor_steps']) for row in metrics_files.read_rows(path)]


def _json(path):
  with open(path) as file:
    return json.load(file)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch, request):
  if 'curve' not in request.node.name:  # They take longer than all the rest.
    monkeypatch.setattr(plotting, 'plot_curve', lambda folder: None)


@pytest.fixture
def directory(tmp_path):
  return RunDirectory(str(tmp_path / 'run'))


def test_whole_run_leaves_every_file_and_a_curve(directory):
  outcome = _run(directory.path)
  assert outcome == runner.Outcome(finished=True, step=50, exit_status=0)
  assert _json(directory.config)['agent'] == {'width': 4}
  assert _json(directory.versions)[0]['packages']['numpy'] == np.__version__
  assert _steps(directory.episodes) == [7, 14, 21, 28, 35, 42, 49]
  # Updates begin after 10 steps; every fifth of the 40 is a row.
  assert _steps(directory.train) == [15, 20, 25, 30, 35, 40, 45, 50]
  assert sorted(os.listdir(directory.checkpoints)) == [
    'step_000000000020',
    'step_000000000040',
    'step_000000000050',
  ]
  assert _json(directory.policy) == {
    'learner_steps': 40,
    'env_name': 'fake:task',
    'env_options': {},
    'algorithm': 'fake',
    'seed': 3,
    'actor_steps': 50,
  }
  with open(directory.curve, 'rb') as file:
    assert file.read(4) == b'\x89PNG'


def test_evaluations_fall_exactly_on_the_grid_from_step_zero(directory):
  _run(directory.path)
  rows = metrics_files.read_rows(directory.evaluations)
  assert [row['actor_steps'] for row in rows] == [0, 10, 20, 30, 40, 50]
  # The mode of the fake policy pays its number of updates at each of 7 steps.
  assert [row['mode_return_mean'] for row in rows] == [0, 0, 70, 140, 210, 280]
  assert [row['learner_steps'] for row in rows] == [0, 0, 10, 20, 30, 40]


def test_last_step_is_evaluated_although_off_the_grid(directory):
  _run(directory.path, num_steps=43)
  assert _steps(directory.evaluations) == [0, 10, 20, 30, 40, 43]


def test_time_of_evaluations_and_checkpoints_is_not_training_time(
  directory, monkeypatch
):
  now = [0.0]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
  made = []

  def make(seed):
    # The runner's first two environments are for the specs and for training.
    seconds = 2.0 if len(made) == 1 else 1000.0
    made.append(seed)

    def on_step():
      now[0] += seconds

    return runner_fakes.Task(seed, on_step)

  def before_save():
    now[0] += 5000.0

  # At 15 and 45 no evaluation has stopped the clock before.
  _run(directory.path, make, agent={'before_save': before_save}, checkpoint_period=15)
  rows = metrics_files.read_rows(directory.evaluations)
  assert [row['training_seconds'] for row in rows] == [0, 20, 40, 60, 80, 100]
  assert [row['steps_per_second'] for row in rows[1:]] == [0.5] * 5


def test_crash_then_resume_repeats_nothing_and_never_goes_back(directory):
  with pytest.raises(OSError, match='simulator'):
    _run(directory.path, agent={'raise_at': {37: OSError('simulator')}})
  assert _steps(directory.evaluations) == [0, 10, 20, 30]
  kept = metrics_files.read_rows(directory.evaluations)[:3]

  outcome = _run(directory.path)  # From the checkpoint at 20.
  assert outcome.finished
  rows = metrics_files.read_rows(directory.evaluations)
  assert [row['actor_steps'] for row in rows] == [0, 10, 20, 30, 40, 50]
  np.testing.assert_equal(rows[:3], kept)
  # The new episode begins at 20.
  assert _steps(directory.episodes) == [7, 14, 27, 34, 41, 48]
  assert _steps(directory.train) == [15, 20, 25, 30, 35, 40, 45, 50]
  seconds = [row['training_seconds'] for row in rows]
  assert seconds == sorted(seconds)
  assert [entry['actor_steps'] for entry in _json(directory.versions)] == [0, 20]


def test_resumed_run_does_not_replay_the_episodes_it_began_with(directory):
  made = []

  def make(seed):
    made.append(seed)
    return runner_fakes.Task(seed)

  with pytest.raises(OSError, match='simulator'):
    _run(directory.path, make, agent={'raise_at': {25: OSError('simulator')}})
  first = made[1]
  made.clear()
  _run(directory.path, make)
  assert made[1] != first


def test_finished_run_is_left_alone_without_making_its_agent(directory, capsys):
  _run(directory.path)

  def fail(*unused):
    raise AssertionError('nothing to do')

  outcome = runner.run(runner_fakes.make_settings(directory.path), fail, fail)
  assert outcome == runner.Outcome(finished=True, step=50, exit_status=0)
  assert 'already reached 50 steps' in capsys.readouterr().out


def test_larger_budget_goes_on_where_the_last_one_ended(directory):
  _run(directory.path, num_steps=43)
  outcome = _run(directory.path, num_steps=60)
  assert outcome.step == 60
  assert _steps(directory.evaluations) == [0, 10, 20, 30, 40, 43, 50, 60]
  assert _json(directory.config)['num_steps'] == 60
  assert _json(directory.policy)['learner_steps'] == 50


def test_other_configuration_is_refused_and_changes_nothing(directory):
  _run(directory.path)
  before = _contents(directory)
  with pytest.raises(RunDirectoryError, match=r'agent\.width: 4 there, 5 here'):
    _run(directory.path, agent_config={'width': 5}, num_steps=90)
  assert _contents(directory) == before


def test_agent_that_cannot_be_made_leaves_the_folder_free(directory):
  def fail(*unused):
    raise ValueError('width')

  with pytest.raises(ValueError, match='width'):
    runner.run(runner_fakes.make_settings(directory.path), runner_fakes.Task, fail)
  assert _run(directory.path, agent_config={'width': 5}).finished


def test_best_policy_is_of_the_best_mode_return(directory, monkeypatch):
  returns = iter([float('nan'), 5.0, 3.0, 5.0, float('nan'), 4.0])
  monkeypatch.setattr(
    runner_fakes.Agent,
    'make_evaluation_actor',
    lambda self, deterministic, seed: runner_fakes.FixedActor(
      next(returns) if deterministic else 9.0
    ),
  )
  _run(directory.path)
  best = _json(directory.best_policy)
  assert best['actor_steps'] == 10
  assert best['evaluation'] == {'actor_steps': 10, 'mode_return_mean': 35.0}
  assert _json(directory.policy)['actor_steps'] == 50


def test_error_in_learning_keeps_the_last_good_checkpoint_and_releases_all(directory):
  made = []

  def make(seed):
    made.append(runner_fakes.Task(seed))
    return made[-1]

  handler = signal.getsignal(signal.SIGINT)
  error = FloatingPointError('loss is nan')
  with pytest.raises(FloatingPointError):
    _run(directory.path, make, agent={'raise_at': {33: error}})
  assert os.listdir(directory.checkpoints) == ['step_000000000020']
  assert _json(directory.policy)['actor_steps'] == 20
  assert all(task.closed for task in made)
  assert signal.getsignal(signal.SIGINT) is handler
  with directory.lock():
    pass


def test_agent_that_refuses_to_save_stops_the_run(directory):
  def refuse():
    raise FloatingPointError('loss is nan')

  with pytest.raises(FloatingPointError):
    _run(directory.path, agent={'before_save': refuse})
  assert os.listdir(directory.checkpoints) == []
  assert not directory.read_summary().get('finished')


def test_signal_during_the_first_evaluation_ends_the_run_resumable(directory):
  def make(seed):
    return runner_fakes.Task(seed, lambda: os.kill(os.getpid(), signal.SIGTERM))

  outcome = _run(directory.path, make)
  assert outcome == runner.Outcome(finished=False, step=0, exit_status=143)
  assert _steps(directory.evaluations) == []
  assert _run(directory.path).finished
  assert _steps(directory.evaluations) == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('num_steps', 0),
    ('seed', -1),
    ('evaluation_period', 0),
    ('evaluation_episodes', 0),
    ('checkpoint_period', 0),
  ],
)
def test_senseless_settings_are_refused_by_name(tmp_path, field, value):
  with pytest.raises(ValueError, match=f'{field} is {value}'):
    runner_fakes.make_settings(tmp_path, **{field: value})


def _contents(directory):
  contents = {}
  for folder, _, names in os.walk(directory.path):
    for name in names:
      with open(os.path.join(folder, name), 'rb') as file:
        contents[name] = file.read()
  return contents
