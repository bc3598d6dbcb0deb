"""run_iq --run_distributed, as a user runs it."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from repository import ROOT

from iq_acme import load_policy
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

FLAGS = (
  '--env_name=gym:Pendulum-v1',
  '--hidden_layer_sizes=16',
  '--batch_size=8',
  '--min_replay_size=200',
  '--log_period=50',
  '--evaluation_period=150',
  '--evaluation_episodes=1',
  '--lp_launch_type=local_mt',
  '--run_distributed',
  '--num_actors=2',
)


def _run(workdir, *arguments):
  command = [sys.executable, os.path.join('experiments', 'run_iq.py')]
  result = subprocess.run(
    [*command, *FLAGS, f'--workdir={workdir}', *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  return result.returncode, result.stdout, result.stderr


def _steps(path):
  return [int(row['actor_steps']) for row in metrics_files.read_rows(path)]


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  directory = RunDirectory(str(tmp_path_factory.mktemp('run')))
  return directory, _run(directory.path, '--num_steps=450')


def test_folder_is_that_of_a_local_run(finished):
  directory, (status, out, err) = finished
  assert status == 0, err
  assert 'm_iq on gym:Pendulum-v1, seed 0' in out and 'Traceback' not in err
  assert re.search(r'  checkpoint, [\d.]+ kB: ', out + err)  # As of a local run.
  with open(directory.config) as file:
    assert json.load(file)['distributed'] is True
  assert _steps(directory.evaluations)[-1] == 450
  episodes = metrics_files.read_rows(directory.episodes)
  assert {row['episode_length'] for row in episodes} == {200}
  (row, *_) = metrics_files.read_rows(directory.train)
  assert np.isfinite(row['loss']) and row['learner_steps'] == 50
  assert os.path.exists(directory.curve) and os.listdir(directory.tensorboard)
  assert len(os.listdir(directory.checkpoints)) == 1
  for path in (directory.policy, directory.best_policy):
    assert load_policy(path).metadata['env_name'] == 'gym:Pendulum-v1'
  summary = directory.read_summary()
  best = load_policy(directory.best_policy).metadata['evaluation']
  assert best == summary['best_evaluation']
  assert summary['finished'] and summary['actor_steps'] == 450
  assert summary['learner_steps'] in (250, 251, 252)
  # The last evaluation is of the policy that is left, not of one a little before it.
  last = metrics_files.read_rows(directory.evaluations)[-1]
  assert last['learner_steps'] == summary['learner_steps']


def test_larger_budget_goes_on_from_the_checkpoint_it_names(finished):
  directory, _ = finished
  evaluated = _steps(directory.evaluations)
  # Of the checkpoint by its SGD steps, but logged when actors were ahead of it.
  rows = pathlib.Path(directory.train).read_text().splitlines()
  cells = dict(zip(rows[0].split(','), rows[-1].split(',')))
  rows[-1] = ','.join((cells | {'actor_steps': '460'}).values())
  pathlib.Path(directory.train).write_text('\n'.join([*rows, '']))
  status, out, err = _run(directory.path, '--num_steps=480')
  assert status == 0, err
  assert 'Resumed at step 450 from ' in out
  assert _steps(directory.evaluations) == [*evaluated, 480]
  train = metrics_files.read_rows(directory.train)
  learner_steps = [row['learner_steps'] for row in train]
  assert learner_steps == sorted(set(learner_steps))
  assert train[len(rows) - 2]['actor_steps'] == 460
  status, out, _ = _run(directory.path, '--num_steps=480')
  assert status == 0 and 'has already reached 480 steps' in out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--norun_distributed'], '--num_actors is for distributed runs'),
    (['--env_name=gym:Nothing-v0'], 'Nothing'),
    (['--temperature=0.5'], 'agent.temperature: 0.01 there, 0.5 here'),
  ],
)
def test_bad_input_is_refused_in_words(finished, arguments, message):
  directory, _ = finished
  workdir = directory.path if 'temperature' in arguments[0] else directory.path + '2'
  status, _, err = _run(workdir, '--num_steps=500', *arguments)
  assert status == 2, err
  assert message in err and 'Traceback' not in err
  assert os.path.exists(workdir) == ('temperature' in arguments[0])
