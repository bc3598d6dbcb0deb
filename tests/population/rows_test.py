"""Rows of all members at once against the transitions of one episode."""

import dm_env
import numpy as np
import pytest
from dm_env import specs

from iq_acme.population.rows import NStepRows
from iq_acme.spec_checks import EnvironmentSpec
from iq_acme.transitions import NStepTransitions, TransitionPacking

SPEC = EnvironmentSpec(
  observations=specs.Array((2,), np.float32),
  actions=specs.BoundedArray((1,), np.float32, -1.0, 1.0),
  rewards=specs.Array((), np.float32),
  discounts=specs.BoundedArray((), np.float32, 0.0, 1.0),
)
DISCOUNTS = (0.99, 0.5, 0.9)


@pytest.mark.parametrize('n_step', [1, 2, 4])
def test_rows_are_the_packed_transitions_of_each_member(n_step):
  packing = TransitionPacking(SPEC)
  builder = NStepRows(packing, n_step, DISCOUNTS)
  single = [NStepTransitions(n_step, discount) for discount in DISCOUNTS]
  rng = np.random.default_rng(0)
  observation = rng.standard_normal((3, 2)).astype(np.float32)
  for one, first in zip(single, observation):
    one.add_first(dm_env.restart(first))
  ends = 0
  for step in range(60):
    action = rng.uniform(-1, 1, (3, 1)).astype(np.float32)
    reward = rng.standard_normal(3).astype(np.float32)
    last = rng.random(3) < 0.3
    discount = np.where(last & (rng.random(3) < 0.5), 0, 1).astype(np.float32)
    after = rng.standard_normal((3, 2)).astype(np.float32)
    active = np.array([True, True, step < 30])
    rows, counts = builder.add(
      observation, action, reward, discount, after, last & active, active
    )
    assert rows.shape[1] <= n_step
    observation = after.copy()
    for i in np.flatnonzero(active):
      kind = dm_env.StepType.LAST if last[i] else dm_env.StepType.MID
      timestep = dm_env.TimeStep(kind, reward[i], discount[i], after[i])
      added = single[i].add(action[i].copy(), timestep)
      expected = [packing.pack(x) for x in added]
      assert counts[i] == len(expected)
      np.testing.assert_allclose(rows[i, : counts[i]], expected, rtol=1e-6, atol=1e-6)
      if last[i]:
        ends += 1
        observation[i] = rng.standard_normal(2)
        single[i].add_first(dm_env.restart(observation[i]))
    assert counts[2] == 0 or active[2]
    for array in (action, reward, discount, after):
      array[:] = np.nan  # Whoever steps environments may use its arrays again.
  assert ends > 20
