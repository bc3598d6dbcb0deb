"""SAC's update on recorded batches."""

import functools

import jax
import numpy as np
from dm_env import specs

from iq_acme.baselines.sac import update
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.spec_checks import EnvironmentSpec
from iq_acme.transitions import Transition

B, D, STEPS = 32, 3, 25
CONFIG = SACHyperparameters(hidden_layer_sizes=(16, 16), batch_size=B)


def spec(minimum=-1.0, maximum=1.0):
  return EnvironmentSpec(
    specs.Array((5,), np.float32),
    specs.BoundedArray((D,), np.float32, minimum, maximum),
  )


def batches(count=STEPS):
  """Recorded transitions, with actions in [-1, 1], some of them its ends."""
  rng = np.random.default_rng(0)

  def observations():
    # So large that the policy samples actions near the ends, too.
    return (4 * rng.standard_normal((B, 5))).astype(np.float32)

  return [
    Transition(
      observation=observations(),
      action=np.clip(rng.standard_normal((B, D)), -1, 1).astype(np.float32),
      reward=rng.standard_normal(B).astype(np.float32),
      discount=(rng.random(B) < 0.9).astype(np.float32),
      next_observation=observations(),
    )
    for _ in range(count)
  ]


def run(state, transitions, networks, config=CONFIG):
  """Takes a step per batch; returns each state and each step's metrics."""
  step = jax.jit(functools.partial(update.sgd_step, networks=networks, config=config))
  states, rows = [], []
  for batch in transitions:
    state, metrics = step(state, batch)
    states.append(state)
    rows.append(jax.device_get(metrics))
  return states, rows
