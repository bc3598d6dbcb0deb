"""All actions of two dimensions with three values each, at one observation."""

import itertools
from types import SimpleNamespace

import numpy as np
from dm_env import specs

SPEC = SimpleNamespace(
  observations=specs.Array((3,), np.float32),
  actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0),
)
ACTIONS = np.array(list(itertools.product([-1, 0, 1], repeat=2)), np.float32)
OBSERVATIONS = np.tile(np.float32([0.5, -1, 2]), (9, 1))
