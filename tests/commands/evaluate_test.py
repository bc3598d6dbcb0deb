"""experiments/evaluate.py as a user runs it, on an untrained policy."""

import json
import os
import re
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest
from dm_env import specs
from repository import ROOT

from iq_acme import (
  IQConfig,
  __main__,
  make_environment,
  make_networks,
  save_policy,
)
from iq_acme.acting import ActingVariables
from iq_acme.baselines.sac import networks as sac_networks
from iq_acme.baselines.sac import policy_file
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.spec_checks import EnvironmentSpec

pytestmark = pytest.mark.core
NAME, OPTIONS = 'gym:HalfCheetah-v4', {'max_episode_steps': 20}

# Runs the script and then says which modules it has loaded.
_CODE = """
import runpy, sys
try:
  runpy.run_path('experiments/evaluate.py', run_name='__main__')
except SystemExit as end:
  status = end.code
heavy = ('acme', 'tensorflow', 'reverb', 'launchpad')
print('loaded:', [name for name in heavy if sys.modules.get(name)])
sys.exit(status)
"""

_OWN_TASKS = """
import gymnasium, numpy as np
print('imported')

class Own(gymnasium.Env):
  observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
  action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
  def __init__(self, length):
    self.length = length
  def reset(self, *, seed=None, options=None):
    self.steps = 0
    return np.zeros(2), {}
  def step(self, action):
    self.steps += 1
    return np.zeros(2), 1.0, self.steps == self.length, False, {}

gymnasium.register('Own-v0', Own)
"""


def _evaluate(policy, *arguments, **variables):
  environment = {**os.environ, **variables}
  environment.pop('DISPLAY', None)
  environment.pop('WAYLAND_DISPLAY', None)
  return subprocess.run(
    [sys.executable, '-c', _CODE, f'--policy={policy}', *arguments],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
  )


@pytest.fixture
def refused(capsys):
  """Runs the command in this process; returns the one line by which it refuses."""

  def run(policy, *arguments):
    with mock.patch.dict(os.environ):
      assert __main__.main(['evaluate', f'--policy={policy}', *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line

  return run


@pytest.fixture(scope='module')
def policy(tmp_path_factory):
  environment = make_environment(NAME, 0)
  spec = EnvironmentSpec(environment.observation_spec(), environment.action_spec())
  return _save(spec, {'env_name': NAME, 'env_options': OPTIONS}, tmp_path_factory)


def _save(spec, metadata, tmp_path_factory):
  config = IQConfig(hidden_layer_sizes=(8,))
  networks = make_networks(spec, config)
  params = networks.policy.init(jax.random.PRNGKey(0))
  path = str(tmp_path_factory.mktemp('policy') / 'policy.npz')
  save_policy(path, ActingVariables(params, None, False), spec, config, metadata)
  return path


def test_table_of_returns_without_the_training_libraries(policy):
  result = _evaluate(policy, '--num_episodes=2', '--seed=1')
  assert result.returncode == 0, result.stderr
  assert f'{NAME}, mode policy, 2 episodes, seed 1' in result.stdout
  for name in ('return_mean', 'return_std', 'return_min', 'return_max'):
    assert re.search(rf'{name} +-?[\d,]+\.\d\d\n', result.stdout)
  # The task's options are the ones of training.
  assert re.search(r'episode_length +20\.00\n', result.stdout)
  assert 'loaded: []' in result.stdout
  assert result.stderr == ''


def test_policy_of_sac_is_evaluated_without_the_training_libraries(tmp_path):
  environment = make_environment(NAME, 0)
  spec = EnvironmentSpec(environment.observation_spec(), environment.action_spec())
  config = SACHyperparameters(hidden_layer_sizes=(8,))
  params = sac_networks.make_networks(spec, config).policy.init(jax.random.PRNGKey(0))
  path = str(tmp_path / 'policy.npz')
  policy_file.save_policy(
    path,
    ActingVariables(params, None, False),
    spec,
    config,
    {'env_name': NAME, 'env_options': OPTIONS},
  )
  result = _evaluate(path, '--num_episodes=2', '--seed=1')
  assert result.returncode == 0, result.stderr
  assert f'{NAME}, mode policy, 2 episodes, seed 1' in result.stdout
  assert re.search(r'episode_length +20\.00\n', result.stdout)
  assert 'loaded: []' in result.stdout
  result = _evaluate(path, '--env_name=gym:Hopper-v4')
  assert result.returncode == 2
  assert 'does not fit' in result.stderr and 'Traceback' not in result.stderr


def test_a_name_that_imports_code_is_not_taken_from_a_file(tmp_path_factory, tmp_path):
  own = 'gym:own_tasks:Own-v0'
  (tmp_path / 'own_tasks.py').write_text(_OWN_TASKS)
  spec = EnvironmentSpec(
    specs.Array((2,), np.float32), specs.BoundedArray((1,), np.float32, -1.0, 1.0)
  )
  metadata = {'env_name': own, 'env_options': {'length': 7}}
  policy = _save(spec, metadata, tmp_path_factory)
  result = _evaluate(policy, PYTHONPATH=str(tmp_path))
  assert result.returncode == 2
  assert own in result.stderr and "{'length': 7}" in result.stderr  # What it says.
  assert 'give it with --env_name' in result.stderr
  assert 'imported' not in result.stdout and 'Traceback' not in result.stderr
  # From the user it is taken, with the file's options unless they say others.
  for arguments, length in ((), 7), (('--env_option=length=3',), 3):
    result = _evaluate(
      policy, f'--env_name={own}', *arguments, PYTHONPATH=str(tmp_path)
    )
    assert result.returncode == 0, result.stderr
    assert 'imported' in result.stdout
    assert re.search(rf'episode_length +{length}\.00\n', result.stdout)


def test_a_task_whose_package_is_missing_is_refused_in_one_line(policy, tmp_path):
  (tmp_path / 'needy_tasks.py').write_text('import no_such_package')
  variables = {'PYTHONPATH': str(tmp_path)}
  result = _evaluate(policy, '--env_name=python:needy_tasks:make', **variables)
  assert result.returncode == 2
  assert "not installed: No module named 'no_such_package'" in result.stderr
  assert len(result.stderr.splitlines()) == 1


def test_sampled_policy_is_another_and_its_seed_makes_it_the_same_again(policy):
  arguments = '--num_episodes=1', '--seed=1', '--nodeterministic'
  first, again = (_evaluate(policy, *arguments).stdout for _ in range(2))
  assert 'sampled policy' in first
  assert first == again


def test_video_without_a_display_says_what_is_missing_and_leaves_no_file(
  policy, tmp_path
):
  video = tmp_path / 'out.mp4'
  result = _evaluate(policy, f'--video={video}', MUJOCO_GL='glfw')
  assert result.returncode == 1
  assert 'MUJOCO_GL=egl' in result.stderr
  assert 'Traceback' not in result.stderr
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('name', ['out', 'out.webm', 'out.mp5'])
def test_video_of_an_unknown_kind_is_refused_at_once(refused, policy, tmp_path, name):
  video = tmp_path / name
  line = refused(policy, f'--video={video}')
  assert f'video is {video}; it must end in one of .mp4' in line
  assert os.listdir(tmp_path) == []


def test_policy_for_other_observations_is_refused_in_words(policy):
  result = _evaluate(policy, '--env_name=gym:Hopper-v4')
  assert result.returncode == 2
  assert '(11,)' in result.stderr and '(17,)' in result.stderr
  assert result.stderr.count('\n') == 1


_FAULTY_TASK = """
import gymnasium, numpy as np

class Faulty(gymnasium.Env):
  metadata = {'render_modes': ['rgb_array']}
  observation_space = gymnasium.spaces.Box(-1, 1, (17,), np.float32)
  def __init__(self, num_actions, render_mode=None):
    self.action_space = gymnasium.spaces.Box(-1, 1, (num_actions,), np.float32)
    self.render_mode = render_mode
  def reset(self, *, seed=None, options=None):
    return np.zeros(17), {}
  def step(self, action):
    raise ValueError('a slip of my own')
  def render(self):
    return np.zeros((32, 32, 3), np.uint8)
"""


@pytest.mark.parametrize('with_video', [False, True])
def test_an_error_of_a_users_own_is_shown_with_its_traceback(
  policy, tmp_path, with_video
):
  (tmp_path / 'faulty_tasks.py').write_text(_FAULTY_TASK)
  task, variables = (
    '--env_name=python:faulty_tasks:Faulty',
    {'PYTHONPATH': str(tmp_path)},
  )
  new = tmp_path / 'no' / 'such'  # Made for the video.
  arguments = [f'--video={new / "out.mp4"}'] if with_video else []
  result = _evaluate(
    policy, task, '--env_option=num_actions=6', *arguments, **variables
  )
  assert result.returncode == 1
  assert 'faulty_tasks.py", line' in result.stderr and 'in step' in result.stderr
  assert result.stderr.splitlines()[-1] == 'ValueError: a slip of my own'
  assert new.exists() is with_video and not (with_video and os.listdir(new))

  result = _evaluate(
    policy, task, '--env_option=num_actions=2', *arguments, **variables
  )
  assert result.returncode == 2
  message = 'The action has shape (2,); this policy gives (6,).'
  assert result.stderr == f'{message}\n'


def test_video_that_cannot_be_written_says_why(policy, tmp_path):
  (tmp_path / 'faulty_tasks.py').write_text(_FAULTY_TASK)
  (tmp_path / 'file').touch()
  (tmp_path / 'folder.mp4').mkdir()
  for path, status in (('file/out.mp4', 1), ('folder.mp4', 2)):
    result = _evaluate(
      policy,
      '--env_name=python:faulty_tasks:Faulty',
      '--env_option=num_actions=6',
      f'--video={tmp_path / path}',
      PYTHONPATH=str(tmp_path),
    )
    assert result.returncode == status
    assert path in result.stderr and result.stderr.count('\n') == 1


@pytest.mark.parametrize(
  'metadata', [None, 'text', {'env_name': 3}, {'env_options': 3}]
)
def test_policy_with_damaged_metadata_is_refused_in_words(
  refused, policy, tmp_path, metadata
):
  with np.load(policy) as file:
    arrays = {name: file[name] for name in file.files}
  header = json.loads(arrays['header.json'].tobytes()) | {'metadata': metadata}
  arrays['header.json'] = np.frombuffer(json.dumps(header).encode(), np.uint8)
  path = str(tmp_path / 'policy.npz')
  np.savez(path, **arrays)
  assert path in refused(path)


def test_policy_that_is_not_there_is_refused(refused, tmp_path):
  assert 'policy.npz' in refused(tmp_path / 'policy.npz')
  assert refused(tmp_path) == f"[Errno 21] Is a directory: '{tmp_path}'"


def test_words_that_are_no_flags_are_refused(refused, policy):
  line = refused(policy, '--deterministic', 'False')
  assert "Arguments that are no flags: ['False']" in line
