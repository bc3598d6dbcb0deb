"""What the tests of the environments share."""

import importlib.util
import os
import subprocess
import sys

import gymnasium
import numpy as np
from gymnasium import spaces
from repository import ROOT

ONE_TASK_PER_SUITE = ['gym:HalfCheetah-v4', 'adroit:door']
if importlib.util.find_spec(
  'dm_control'
):  # An extra, which has no wheels for every Python.
  ONE_TASK_PER_SUITE.append('dm_control:cheetah:run')


class FakeGym(gymnasium.Env):
  """Counts its steps; gives out what it is told to."""

  def __init__(self, observation_space=None, action_space=None, **step):
    self.observation_space = observation_space or spaces.Box(-1, 1, (2,))
    self.action_space = action_space or spaces.Box(-1, 1, (1,))
    self.step_result = {
      'observation': np.zeros(2),
      'reward': 0.0,
      'terminated': False,
      'truncated': False,
      'info': {},
    } | step

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return np.zeros(2), {}

  def step(self, action):
    return tuple(self.step_result.values())


def run_python(code, cwd, **variables):
  return subprocess.run(
    [sys.executable, '-c', code],
    cwd=cwd,
    env=os.environ | {'PYTHONPATH': str(ROOT)} | variables,
    capture_output=True,
    text=True,
    timeout=120,
  )
