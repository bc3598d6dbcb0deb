"""The agent's own networks, loss and update, against exact IQ-DP.

The tolerance is 1e-4 in units of tau ln pi, which itself ranges over about 10: what
Adam has left to minimise, and float32.
"""

import itertools

import numpy as np
import pytest

from experiments.theory import bridge
from experiments.theory.factorisation import factorised_iterates
from iq_acme import tabular

pytestmark = pytest.mark.core

TOLERANCE = 1e-4
NUM_UPDATES = 4


def deep(mdp, action_shape, alpha, temperature=0.5, **fields):
  return list(
    bridge.deep_iterates(
      mdp,
      action_shape,
      alpha,
      temperature,
      num_updates=NUM_UPDATES,
      **{'num_sgd_steps': 1000, **fields},
    )
  )


def assert_same(iterates, references):
  for iterate, reference in zip(iterates, references, strict=True):
    for array, expected in zip(iterate, reference):
      np.testing.assert_allclose(array, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize('alpha', [0.0, 0.9])
@pytest.mark.parametrize(
  ('state_shape', 'action_shape'), [((30,), (25,)), ((6, 5), (5, 5))]
)
def test_the_agents_update_follows_iq_dp(state_shape, action_shape, alpha):
  mdp = tabular.factored_mdp(state_shape, action_shape, seed=1)
  exact = list(tabular.run_iq_dp(mdp, alpha, 0.5, itertools.repeat(0.0, NUM_UPDATES)))
  assert np.ptp(exact[-1].soft_advantage) > 1.5  # far above the tolerance
  assert_same(deep(mdp, action_shape, alpha), exact)


def test_entangled_actions_are_projected_unless_the_policy_is_autoregressive():
  shape = (5, 5)
  mdp = tabular.factored_mdp((6, 5), shape, entanglement=0.4, seed=1)
  projected = factorised_iterates(mdp, shape, 0.9, 0.5, NUM_UPDATES)
  exact = list(tabular.run_iq_dp(mdp, 0.9, 0.5, itertools.repeat(0.0, NUM_UPDATES)))
  iterates = deep(mdp, shape, 0.9)
  assert_same(iterates, projected)
  gap = np.abs(iterates[-1].soft_advantage - exact[-1].soft_advantage).max()
  assert gap > 0.4  # the representation gap, not the optimiser's
  closed = deep(mdp, shape, 0.9, policy_family='autoregressive', num_sgd_steps=3000)
  assert_same(closed, exact)


def test_a_deterministic_mdp_and_equal_dimensions_are_asked_for():
  with pytest.raises(ValueError, match='transition'):
    deep(_stochastic(), (4,), 0.5)
  with pytest.raises(ValueError, match='action_shape'):
    deep(tabular.factored_mdp((2, 2), (2, 3)), (2, 3), 0.5)


def _stochastic():
  return tabular.FiniteMDP(np.full((2, 4, 2), 0.5), np.zeros((2, 4)), 0.9)
