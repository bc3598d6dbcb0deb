"""Four members of one program that differ in their numbers."""

import numpy as np
from dm_env import specs

from iq_acme.config import IQConfig
from iq_acme.spec_checks import EnvironmentSpec

SPEC = EnvironmentSpec(
  observations=specs.Array((3,), np.float32),
  actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0),
  rewards=specs.Array((), np.float32),
  discounts=specs.BoundedArray((), np.float32, 0.0, 1.0),
)
SIZES = {'hidden_layer_sizes': (16, 16), 'batch_size': 8, 'min_replay_size': 8}
# A coefficient of 0, which takes a shortcut alone, beside others.
CONFIGS = [
  IQConfig(temperature=0.3, munchausen_coefficient=0.9, learning_rate=3e-4, **SIZES),
  IQConfig(temperature=0.01, munchausen_coefficient=0.0, learning_rate=1e-3, **SIZES),
  IQConfig(temperature=0.1, munchausen_coefficient=0.5, discount=0.9, **SIZES),
  IQConfig(temperature=1.0, target_update_rate=0.1, **SIZES),
]
