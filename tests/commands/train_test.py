"""The scripts as a user runs them, on a small but whole agent."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
from repository import ROOT

from iq_acme import __main__, load_policy
from iq_acme.storage import files
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

# Pendulum's episodes have 200 steps.
FLAGS = (
  '--env_name=gym:Pendulum-v1',
  '--hidden_layer_sizes=16',
  '--batch_size=16',
  '--min_replay_size=200',
  '--log_period=50',
  '--evaluation_period=250',
  '--evaluation_episodes=1',
  '--num_threads=1',
)
NOISE = re.compile('reverb/cc|tpu|unmaintained|deprecated|oneDNN|out of date|W0')


def _start(workdir, *arguments, script='run_iq.py', **variables):
  script = os.path.join('experiments', script)
  command = [sys.executable, script, *FLAGS, f'--workdir={workdir}', *arguments]
  return subprocess.Popen(
    command,
    cwd=ROOT,
    env={**os.environ, **variables},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _run(workdir, *arguments, script='run_iq.py', **variables):
  process = _start(workdir, *arguments, script=script, **variables)
  out, err = process.communicate(timeout=300)
  return process.returncode, out, err


def _steps(path):
  return [int(row['actor_steps']) for row in metrics_files.read_rows(path)]


@pytest.fixture(scope='module')
def stopped_run(tmp_path_factory):
  """A run that SIGTERM has stopped while it was learning."""
  directory = RunDirectory(str(tmp_path_factory.mktemp('run')))
  process = _start(directory.path, '--num_steps=100000')
  deadline = time.monotonic() + 240
  while not metrics_files.read_rows(directory.train):
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline, 'no learning'
    time.sleep(0.1)
  process.send_signal(signal.SIGTERM)
  out, err = process.communicate(timeout=120)
  return directory, process.returncode, out, err


def test_sigterm_saves_and_says_how_to_go_on(stopped_run):
  directory, status, out, err = stopped_run
  assert status == 143, err
  step = directory.read_summary()['actor_steps']
  assert step >= 250
  assert f'Stopped at step {step:,}. To go on:' in out
  assert f'--workdir={directory.path}' in out
  assert len(os.listdir(directory.checkpoints)) == 1


def test_terminal_shows_the_run_and_no_noise(stopped_run):
  _, _, out, err = stopped_run
  assert 'm_iq on gym:Pendulum-v1, seed 0' in out
  assert re.search(r'^ +0  mode -[\d,.]+ ± 0\.0 · sampled -', out, re.MULTILINE)
  assert re.search(r'checkpoint, [\d.]+ kB: ', out)
  assert NOISE.findall(out + err) == []


def test_files_tell_the_configuration_the_versions_and_the_learning(stopped_run):
  directory, *_ = stopped_run
  with open(directory.config) as file:
    config = json.load(file)
  assert config['agent']['hidden_layer_sizes'] == [16]
  assert config['agent']['munchausen_coefficient'] == 0.9
  with open(directory.versions) as file:
    (start,) = json.load(file)
  assert start['packages']['dm-acme'] == '0.4.0'
  assert '--num_threads=1' in start['command']
  row = metrics_files.read_rows(directory.train)[0]
  # One update for each step after the 200 random ones.
  assert row['learner_steps'] == 50 and row['actor_steps'] == 250
  assert np.isfinite(row['loss'])
  assert os.listdir(directory.tensorboard)


def test_same_folder_with_another_configuration_is_refused(stopped_run):
  directory, *_ = stopped_run
  status, _, err = _run(directory.path, '--num_steps=100000', '--temperature=0.5')
  assert status == 2
  assert 'agent.temperature: 0.01 there, 0.5 here' in err


def test_resume_goes_on_where_the_signal_came(stopped_run):
  directory, *_ = stopped_run
  with open(directory.config) as file:
    config = json.load(file)
  stopped = directory.read_summary()['actor_steps']
  # The budget only grows, so a test that is to end soon needs it smaller first.
  num_steps = stopped + 30
  directory.write_config({**config, 'num_steps': num_steps})
  status, out, err = _run(directory.path, f'--num_steps={num_steps}')
  assert status == 0, err
  assert f'Resumed at step {stopped:,}' in out
  row = metrics_files.read_rows(directory.evaluations)[-1]
  assert row['actor_steps'] == num_steps
  assert row['learner_steps'] == num_steps - 200
  evaluated = _steps(directory.evaluations)
  assert evaluated == sorted({*range(0, num_steps, 250), num_steps})


def test_policy_of_the_run_can_be_loaded_and_knows_its_task(stopped_run):
  directory, *_ = stopped_run
  saved = {
    directory.policy: [directory.read_summary()['actor_steps']],
    directory.best_policy: _steps(directory.evaluations),
  }
  for path, steps in saved.items():
    policy = load_policy(path)
    assert policy.metadata['env_name'] == 'gym:Pendulum-v1'
    assert policy.metadata['actor_steps'] in steps
    action = policy(np.zeros(3, np.float32))
    assert action.shape == (1,) and abs(action[0]) <= 2.0


def test_loss_that_blows_up_ends_the_run_with_the_last_good_checkpoint(tmp_path):
  directory = RunDirectory(str(tmp_path / 'run'))
  status, _, err = _run(
    directory.path,
    '--num_steps=1000',
    '--checkpoint_period=150',
    '--learning_rate=1e30',
  )
  assert status == 1
  assert 'Stopped: The loss became' in err
  assert 'Traceback' not in err
  (checkpoint,) = os.listdir(directory.checkpoints)
  assert int(checkpoint.removeprefix('step_')) == 150  # Learning starts at 200.
  assert directory.read_summary()['actor_steps'] == 150


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('--temperature=-1', 'temperature'),
    ('--num_steps=0', 'num_steps is 0'),
    ('--env_option=reward', "'reward' is not of the form name=value"),
    ('--env_option=size={1, 2}', "'size={1, 2}' must be a number, a word"),
    ('--cpu_core=4096', '4096'),
    ('halfcheetah', 'halfcheetah'),
    ('--env_option=seed=3', 'say --seed'),
    ('--seed=4294967296', 'seed is 4294967296; it must be at most 4294967295'),
    ('--num_threads=0', 'num_threads'),
  ],
)
def test_flags_that_make_no_sense_are_refused_in_a_line(
  tmp_path, argument, message, capsys
):
  workdir = tmp_path / 'run'
  with mock.patch.dict(os.environ):  # In which threads are limited.
    status = __main__.main(['train', *FLAGS, f'--workdir={workdir}', argument])
  assert status == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert message in line
  assert not os.path.exists(workdir)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--env_option=siz=1'], "made with {'siz': 1}"),
    (['--env_name=gym:Nothing-v0'], 'Nothing'),
  ],
)
def test_bad_input_is_refused_in_words_before_anything_is_written(
  tmp_path, arguments, message
):
  workdir = tmp_path / 'run'
  status, _, err = _run(workdir, *arguments)
  assert status == 2, err
  assert message in err
  assert 'Traceback' not in err
  assert not os.path.exists(workdir)


def test_a_diverged_gaussian_policy_is_named_and_not_the_environment(tmp_path):
  # Its actions are not finite before the next row of metrics shows that its loss is.
  status, _, err = _run(
    tmp_path,
    '--algorithm=m_iq_gaussian',
    '--learning_rate=1e20',
    '--num_steps=1000',
    '--log_period=1000',
    script='run_algorithm.py',
  )
  assert status == 1
  assert 'Stopped: The policy chose the action' in err and 'Traceback' not in err


def test_home_is_meant_by_its_sign_and_a_full_disk_names_the_last_checkpoint(tmp_path):
  command = [sys.executable, os.path.join('experiments', 'run_iq.py'), *FLAGS]
  command += ['--workdir=~/run', '--num_steps=1000', '--checkpoint_period=50']
  limit = ['sh', '-c', 'ulimit -f 120; exec "$@"', 'sh']  # 60 kB; replay grows beyond.
  done = subprocess.run(
    [*limit, *command, '--notensorboard'],
    cwd=ROOT,
    env={**os.environ, 'HOME': str(tmp_path), 'MPLCONFIGDIR': str(tmp_path / 'x')},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1, done.stderr
  line = done.stderr.strip().splitlines()[-1]
  assert line.startswith('Stopped: [Errno 27] File too large')
  (name,) = re.findall(r'The last checkpoint is \S+/run/checkpoints/(step_\d+)', line)
  assert name in os.listdir(tmp_path / 'run' / 'checkpoints')
  assert 'Traceback' not in done.stderr


@pytest.mark.skipif(not shutil.which('setpriv'), reason='root may write anywhere')
def test_folder_that_may_not_be_written_to_is_named(tmp_path):
  tmp_path.chmod(0o555)
  ordinary = ['setpriv', '--inh-caps=-all', '--bounding-set=-all']  # Also for root.
  done = subprocess.run(
    [*ordinary, sys.executable, 'experiments/run_iq.py', f'--workdir={tmp_path}'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert done.stderr.strip() == (
    f"Stopped: [Errno 13] Permission denied: '{tmp_path}/.lock'. There is no checkpoint "
    'yet.'
  )


def test_damaged_summary_is_named(tmp_path):
  (tmp_path / 'summary.json').touch()
  status, _, err = _run(tmp_path)
  assert status == 2
  assert 'summary.json is damaged' in err and 'Traceback' not in err


def test_an_environment_of_one_s_own_is_trained_on_and_its_options_are_the_run_s(
  tmp_path,
):
  (tmp_path / 'own_tasks.py').write_text(
    'import gymnasium\n'
    'def make_env(gravity, reward=1.0):\n'
    "  env = gymnasium.make('Pendulum-v1', g=gravity)\n"
    '  return gymnasium.wrappers.TransformReward(env, lambda _: reward)\n'
  )
  workdir, path = tmp_path / 'run', {'PYTHONPATH': str(tmp_path)}
  flags = ('--env_name=python:own_tasks:make_env', '--num_steps=200')
  options = ('--env_option=gravity=5.0', '--env_option=reward=2')
  status, _, err = _run(workdir, *flags, *options, **path)
  assert status == 0, err
  directory = RunDirectory(str(workdir))
  recorded = {'gravity': 5.0, 'reward': 2}
  assert files.read_json(directory.config)['env_options'] == recorded
  assert load_policy(directory.policy).metadata['env_options'] == recorded
  (episode,) = metrics_files.read_rows(directory.episodes)
  assert episode['episode_return'] == 400
  status, _, err = _run(workdir, *flags, '--env_option=gravity=5.0', **path)
  assert status == 2
  assert 'env_options.reward: 2 there, absent here' in err


def test_an_environment_that_returns_something_else_is_named_and_ends_the_run(tmp_path):
  (tmp_path / 'own_tasks.py').write_text(
    'import gymnasium\n'
    'class Own(gymnasium.Env):\n'
    '  observation_space = action_space = gymnasium.spaces.Box(-1, 1, (2,))\n'
    '  def reset(self, *, seed=None, options=None):\n'
    '    return [0, 0, 0], {}\n'
  )
  arguments = ('--env_name=python:own_tasks:Own', '--num_steps=200')
  status, _, err = _run(tmp_path / 'run', *arguments, PYTHONPATH=str(tmp_path))
  assert status == 1
  assert "Stopped: observation of 'python:own_tasks:Own' must be of shape (2,)" in err
  assert 'Traceback' not in err
