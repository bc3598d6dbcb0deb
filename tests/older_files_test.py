"""A run's folder and a policy file written in November 2026, before the rooms moved."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from repository import ROOT

import iq_acme
from iq_acme.training import metrics_files

OLDER = ROOT / 'tests' / 'data' / 'run_of_november'


@pytest.fixture
def folder(tmp_path):
  """A copy of the run, which ended at step 300."""
  return pathlib.Path(shutil.copytree(OLDER, tmp_path / 'run'))


def test_its_policy_acts_as_it_did():
  policy = iq_acme.load_policy(str(OLDER / 'policy.npz'))
  assert policy.metadata['env_name'] == 'gym:Pendulum-v1'
  assert policy.config.munchausen_bound is None
  found = [policy(observation) for observation in np.eye(3, dtype=np.float32)]
  # What the package of that day answered, by the mode and from a seed's first samples.
  np.testing.assert_allclose(np.ravel(found), [1.6, 1.6, 1.6], rtol=1e-6)
  policy.seed(0)
  sampled = [policy(x, deterministic=False) for x in np.eye(3, dtype=np.float32)]
  np.testing.assert_allclose(np.ravel(sampled), [1.6, 0.4, -0.8], rtol=1e-6)


def test_its_run_goes_on_from_its_checkpoint_with_its_replay(folder):
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'iq_acme', 'train'),
      '--env_name=gym:Pendulum-v1',
      f'--workdir={folder}',
      '--num_steps=400',
      '--hidden_layer_sizes=8,8',
      '--batch_size=16',
      '--min_replay_size=64',
      '--max_replay_size=500',
      '--evaluation_period=100',
      '--evaluation_episodes=1',
      '--log_period=50',
      '--notensorboard',
      '--num_threads=1',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert 'Resumed at step 300' in done.stdout
  last = done.stdout.strip().splitlines()[-1]
  for name in ('policy.npz', 'curve.png'):
    assert str(folder / name) in last
  assert ' at step ' in last and str(folder / 'policy_best.npz') in last
  before = metrics_files.read_rows(str(OLDER / 'eval.csv'))
  rows = metrics_files.read_rows(str(folder / 'eval.csv'))
  assert [row['actor_steps'] for row in rows] == [0, 100, 200, 300, 400]
  # Older rows are as they were, and lack what was not measured yet.
  for row, old in zip(rows, before):
    assert {name: row[name] for name in old} == pytest.approx(old, nan_ok=True)
    assert np.isnan(row['mode_initial_value'])
  assert np.isfinite(rows[-1]['mode_initial_value'])
  with open(folder / 'summary.json') as file:
    assert json.load(file)['finished']
  # 64 steps fill replay, then one SGD step each: had replay been lost, fewer.
  assert rows[-1]['learner_steps'] == 400 - 64
