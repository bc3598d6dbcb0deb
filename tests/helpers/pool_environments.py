"""Environments for tests of a pool, which its workers import."""

import os
import signal
import time

import dm_env
import numpy as np
from dm_env import specs


class CountingEnvironment(dm_env.Environment):
  """Counts steps from its seed on; episodes of `length` steps end by termination.

  The observation is [count, sum of the last action]. What it does at count `at` is the
  method `then` names.
  """

  def __init__(self, seed, length=5, at=None, then=None):
    self._count = 100 * seed
    self._length = length
    self._left = 0
    self._at = at
    self._then = then
    self._needs_reset = True
    if at == 'constructor':
      self.fail()

  def reset(self):
    assert self._needs_reset
    if self._at == f'reset {self._count}':
      getattr(self, self._then)()
    self._needs_reset = False
    self._left = self._length
    return dm_env.restart(self._observation(np.zeros(1)))

  def step(self, action):
    assert not self._needs_reset
    if self._at == self._count:
      getattr(self, self._then)()
    self._count += 1
    self._left -= 1
    observation = self._observation(action)
    if self._left:
      return dm_env.transition(np.float32(self._count), observation, np.float32(1))
    self._needs_reset = True
    return dm_env.termination(np.float32(self._count), observation)

  def observation_spec(self):
    return specs.Array((2,), np.float32, name='observation')

  def action_spec(self):
    return specs.BoundedArray((2,), np.float32, -1.0, 1.0, name='action')

  def reward_spec(self):
    return specs.Array((), np.float32, name='reward')

  def discount_spec(self):
    return specs.BoundedArray((), np.float32, 0.0, 1.0, name='discount')

  def episode_metrics(self):
    return {
      'left': float(self._left),
      'process': float(os.getpid()),
      'threads': float(os.environ.get('OMP_NUM_THREADS', 0)),
    }

  def fail(self):
    raise ArithmeticError('this environment has had enough')

  def die(self):
    os.kill(os.getpid(), signal.SIGKILL)

  def hang(self):
    while True:
      time.sleep(1)

  def pay_too_much(self):
    self._left, self._count = 1, 1e38

  def ask_to_stop(self):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      os.kill(os.getpid(), number)

  def _observation(self, action):
    return np.array([self._count, np.sum(action)], np.float32)


def make(seed, **options):
  return CountingEnvironment(seed, **options)


def make_one_that(then, at, seed):
  """Makes environments of which that of seed 1 does something at a time."""
  return CountingEnvironment(seed, at=at if seed == 1 else None, then=then)


def make_nested(seed):
  environment = CountingEnvironment(seed)
  environment.observation_spec = lambda: {'position': specs.Array((2,), np.float32)}
  return environment


def make_small(seed, bad_seed=None, at=None, then=None):
  """Makes environments that count from at most 600; one of them may do something.

  Args:
    seed: any.
    bad_seed: of the environment that does it.
    at: after how many steps, 'constructor', or 'reset' for the first reset.
    then: what.
  """
  small = seed % 7
  if seed != bad_seed:
    return CountingEnvironment(small)
  named = {'constructor': at, 'reset': f'reset {100 * small}'}
  return CountingEnvironment(
    small, at=named[at] if at in named else 100 * small + at, then=then
  )
