"""Gymnasium environments whose actions are integers, which see that they are their own."""

import gymnasium
import numpy as np
from gymnasium import spaces

SPACES = {
  'discrete': lambda: spaces.Discrete(3, start=5),
  'multi_discrete': lambda: spaces.MultiDiscrete([2, 4], start=[1, -2]),
  'multi_discrete_matrix': lambda: spaces.MultiDiscrete([[2, 3], [1, 2]]),
  'other': lambda: spaces.Discrete(3),
  'multi_binary': lambda: spaces.MultiBinary((2, 2)),
}
LENGTH = 5


class Discrete(gymnasium.Env):
  """Pays 1 for an action that is the least, in each dimension if there are several.

  It refuses what is not of its space, in dtype and kind too, and writes to it.
  """

  observation_space = spaces.Box(-1, 1, (2,), np.float32)

  def __init__(self, space):
    self.action_space = SPACES[space]()
    self.actions = []

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    self._step = 0
    return self._observation(), {}

  def step(self, action):
    assert action.dtype == self.action_space.dtype and action in self.action_space
    self.actions.append(np.array(action))
    reward = float(np.all(action == getattr(self.action_space, 'start', 0)))
    if isinstance(action, np.ndarray):
      action[...] = 99
    else:
      hash(action)  # A key, as of a table of moves.
    self._step += 1
    return self._observation(), reward, self._step == LENGTH, False, {}

  def _observation(self):
    return self.np_random.uniform(-1, 1, 2).astype(np.float32)


def make(space='multi_discrete'):
  return Discrete(space)
