"""From a policy to a file of transitions, and from that to runs: by command."""

import os
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from repository import ROOT

from iq_acme import __main__
from iq_acme.storage import files
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

FLAGS = (
  '--env_name=gym:Pendulum-v1',
  '--hidden_layer_sizes=16',
  '--batch_size=16',
  '--min_replay_size=300',
  '--log_period=50',
  '--evaluation_period=50',
  '--evaluation_episodes=1',
  '--num_threads=1',
)


def _command(*arguments):
  command = [sys.executable, '-m', 'iq_acme', *arguments]
  done = subprocess.run(
    command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
  )
  return done.returncode, done.stdout, done.stderr


def _train(workdir, *arguments):
  return _command('train', *FLAGS, f'--workdir={workdir}', *arguments)


@pytest.fixture(scope='module')
def transitions(tmp_path_factory):
  """A file of two episodes of an offline run's policy, made from random transitions."""
  folder = tmp_path_factory.mktemp('transitions')
  rng = np.random.default_rng(0)
  loose = {
    'observation': rng.normal(size=(400, 3)),
    'action': rng.uniform(-2, 2, size=(400, 1)),
    'reward': rng.normal(size=400),
    'discount': np.ones(400),
    'next_observation': rng.normal(size=(400, 3)),
  }
  np.savez(folder / 'loose.npz', **loose)
  status, out, err = _train(
    folder / 'run', f'--demonstrations={folder / "loose.npz"}', '--num_sgd_steps=50'
  )
  assert status == 0, out + err
  path = folder / 'episodes.npz'
  status, out, err = _command(
    'evaluate',
    f'--policy={folder / "run" / "policy.npz"}',
    '--num_episodes=2',
    '--nodeterministic',
    f'--transitions={path}',
  )
  assert status == 0, err
  assert f'transitions: {path}' in out
  with np.load(path) as file:
    assert file['observation'].shape == (400, 3)
    np.testing.assert_array_equal(np.flatnonzero(file['last']), [199, 399])
    assert (file['discount'] == 1).all()  # Pendulum is cut off.
    (mean,) = re.findall(r'return_mean +(-[\d,.]+)', out)
    total = file['reward'].sum() / 2
    assert total == pytest.approx(float(mean.replace(',', '')), abs=0.01)
  return path


@pytest.mark.parametrize('algorithm', ['m_iq', 'sac'])
def test_an_offline_run_can_be_prolonged_but_not_with_another_file(
  transitions, tmp_path, algorithm
):
  directory = RunDirectory(str(tmp_path / 'run'))
  flags = [f'--algorithm={algorithm}', f'--demonstrations={transitions}']
  status, out, err = _train(directory.path, *flags, '--num_sgd_steps=60')
  assert status == 0, err
  assert re.search(r'checkpoint, [\d.]+ kB: .*step_000000000060', out)
  assert ' at step ' in out
  status, out, err = _train(directory.path, *flags, '--num_sgd_steps=100')
  assert status == 0, err
  assert 'Resumed at step 60' in out
  evaluated = metrics_files.read_rows(directory.evaluations)
  assert [row['learner_steps'] for row in evaluated] == [0, 50, 60, 100]
  rows = metrics_files.read_rows(directory.train)
  assert [row['actor_steps'] for row in rows] == [0] * len(rows)
  assert rows[0]['learner_steps'] == 50
  config = files.read_json(directory.config)
  assert config['counted_steps'] == 'learner_steps'
  assert config['demonstrations']['name'] == 'episodes.npz'

  other = tmp_path / 'episodes.npz'
  other.write_bytes(transitions.read_bytes())
  with np.load(other) as file:
    arrays = {**file, 'reward': file['reward'] + 1}
  np.savez(other, **arrays)
  flags[1] = f'--demonstrations={other}'
  status, _, err = _train(directory.path, *flags, '--num_sgd_steps=200')
  assert status == 2
  assert 'demonstrations.crc32: ' in err


def test_a_run_that_begins_with_demonstrations_learns_from_its_first_step(
  transitions, tmp_path
):
  directory = RunDirectory(str(tmp_path / 'run'))
  flags = [f'--demonstrations={transitions}', '--n_step=2']
  status, out, err = _train(directory.path, *flags, '--num_steps=60')
  assert status == 0, err
  assert 'Too short' not in out
  row = metrics_files.read_rows(directory.evaluations)[-1]
  assert (row['actor_steps'], row['learner_steps']) == (60, 60)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--num_sgd_steps=50', '--num_steps=50'], '--num_sgd_steps and --num_steps are'),
    (['--num_sgd_steps=50'], '--demonstrations: give that too'),
    (['--demonstrations=none.npz'], "no file 'none.npz'"),
    (
      ['--demonstrations=none.npz', '--seeds=0-1'],
      '--demonstrations .* and --seeds is',
    ),
    (['--demonstrations=none.npz', '--sweep=discount=0.9'], 'and --sweep is given'),
    (
      ['--demonstrations=none.npz', '--run_distributed'],
      '--demonstrations .* and --run_distributed is given',
    ),
    (['--num_sgd_steps=5', '--engine=population'], '--num_sgd_steps .* and --engine='),
    (['--demonstrations=minari:no/such-v0'], 'minari'),
  ],
)
def test_flags_that_exclude_each_other_are_refused_in_a_line(
  tmp_path, arguments, message, capsys
):
  workdir = tmp_path / 'run'
  with mock.patch.dict(os.environ):  # In which threads are limited.
    status = __main__.main(['train', *FLAGS, f'--workdir={workdir}', *arguments])
  assert status == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert re.search(message, line)
  assert not os.path.exists(workdir)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--num_sgd_steps=50', '--min_replay_size=401'], 'holds 400 transitions, and'),
    (['--num_sgd_steps=50', '--num_sgd_steps_per_step=3'], '=50 must be a multiple'),
    (['--max_replay_size=300'], 'max_replay_size is 300; it must be at least 400'),
    (['--env_name=gym:HalfCheetah-v4'], r'observation has shape \(400, 3\)'),
  ],
)
def test_a_file_that_does_not_fit_the_run_is_refused_before_anything_is_written(
  transitions, tmp_path, arguments, message
):
  workdir = tmp_path / 'run'
  status, _, err = _train(workdir, f'--demonstrations={transitions}', *arguments)
  assert status == 2, err
  assert re.search(message, err.splitlines()[-1])
  assert 'Traceback' not in err
  assert not os.path.exists(workdir)


def test_transitions_are_written_to_npz_files_alone(capsys):
  with mock.patch.dict(os.environ):
    status = __main__.main(['evaluate', '--policy=x', '--transitions=out.h5'])
  assert status == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line == 'transitions is out.h5; it must be a file that ends in .npz.'
