import itertools

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from iq_acme import tabular

SHAPE = (3, 4)


# --- Section 3.3, the dueling limit ---------------------------------------------


@pytest.mark.parametrize('temperature', [10.0, 0.1, 1e-3, 1e-9])
def test_soft_advantage_is_tau_ln_pi_and_within_tau_ln_a_of_the_dueling_one(
  temperature,
):
  logits = np.random.default_rng(0).normal(size=(50, 5))
  soft = tabular.soft_advantage(logits, temperature)
  log_softmax = scipy.special.log_softmax(logits / temperature, axis=-1)
  np.testing.assert_allclose(soft, temperature * log_softmax, atol=1e-14, rtol=1e-13)
  gap = tabular.max_advantage(logits) - soft
  assert (gap >= 0).all()
  assert (gap <= temperature * np.log(5) + 1e-15).all()


def test_dueling_gap_is_tau_ln_2_where_two_actions_tie():
  logits = np.array([1.0, 1.0, -50.0])
  gap = tabular.max_advantage(logits) - tabular.soft_advantage(logits, 0.01)
  np.testing.assert_allclose(gap, 0.01 * np.log(2), rtol=1e-12)
  np.testing.assert_array_equal(tabular.soft_advantage(logits, 0.0), [0.0, 0.0, -51.0])


def test_mean_variant_keeps_the_policy_but_v_is_no_longer_the_soft_value():
  logits = np.array([0.0, np.log(3.0)])
  q = tabular.mean_advantage(logits) + 7.0
  np.testing.assert_allclose(tabular.softmax(q, 1.0), [0.25, 0.75])
  # Soft value 7 + ln(1 + 3) - ln(3) / 2, by hand.
  shortfall = tabular.mean_value_shortfall(logits, 1.0)
  np.testing.assert_allclose(tabular.log_sum_exp(q, 1.0), 7.0 + shortfall)
  np.testing.assert_allclose(shortfall, np.log(4.0) - np.log(3.0) / 2)
  # And it does not vanish with the temperature: max F - mean F = ln(3) / 2 is left.
  np.testing.assert_allclose(
    tabular.mean_value_shortfall(logits, 1e-6), np.log(3.0) / 2, rtol=1e-12
  )


# --- Section 4, factorised policies ---------------------------------------------


def test_additive_projection_is_the_minimum_of_eq_2_over_factorised_policies():
  """Against a numerical minimum over logits and V of the weighted squared error."""
  rng = np.random.default_rng(0)
  target, weights = rng.normal(size=12), rng.dirichlet(np.ones(12))
  temperature = 0.3

  def implicit_q(parameters):
    rows = scipy.special.log_softmax(parameters[:3])
    columns = scipy.special.log_softmax(parameters[3:7])
    return (temperature * (rows[:, None] + columns)).ravel() + parameters[7]

  def loss(parameters):
    return (weights * (target - implicit_q(parameters)) ** 2).sum()

  solved = scipy.optimize.minimize(loss, np.zeros(8), tol=1e-14)
  projected = tabular.additive_projection(target, weights, SHAPE)
  np.testing.assert_allclose(projected, implicit_q(solved.x), atol=1e-4)
  assert (weights * (target - projected) ** 2).sum() <= loss(solved.x) + 1e-12


def test_uniform_projection_is_row_plus_column_minus_grand_mean():
  target = np.random.default_rng(1).normal(size=(5, 3, 4))
  means = target.mean(2, keepdims=True) + target.mean(1, keepdims=True)
  expected = (means - target.mean((1, 2), keepdims=True)).reshape(5, 12)
  flat = target.reshape(5, 12)
  projected = tabular.additive_projection(flat, np.ones((5, 12)), SHAPE)
  np.testing.assert_allclose(projected, expected, atol=1e-12)


def test_total_correlation_by_hand_and_as_the_part_no_product_can_reduce():
  # Two dimensions that always agree: each marginal carries ln 2, the joint ln 2.
  agree = np.array([0.5, 0.0, 0.0, 0.5])
  np.testing.assert_allclose(tabular.total_correlation(agree, (2, 2)), np.log(2))
  rng = np.random.default_rng(2)
  policy = rng.dirichlet(np.ones(12), size=6)
  rows, columns = rng.dirichlet(np.ones(3), size=6), rng.dirichlet(np.ones(4), size=6)
  product = (rows[:, :, None] * columns[:, None, :]).reshape(6, 12)
  own_rows, own_columns = tabular.marginals(policy, SHAPE)
  parts = tabular.kl_divergence(own_rows, rows)
  parts += tabular.kl_divergence(own_columns, columns)
  correlation = tabular.total_correlation(policy, SHAPE)
  assert (correlation > 0).all()
  np.testing.assert_allclose(
    tabular.kl_divergence(policy, product), correlation + parts, rtol=1e-10
  )
  np.testing.assert_allclose(tabular.total_correlation(product, SHAPE), 0, atol=1e-12)


def test_marginals_of_three_dimensions_sum_over_the_other_two():
  policy = np.arange(24.0) / np.arange(24.0).sum()
  joint = policy.reshape(2, 3, 4)
  first, second, third = tabular.marginals(policy, (2, 3, 4))
  np.testing.assert_allclose(first, joint.sum((1, 2)))
  np.testing.assert_allclose(second, joint.sum((0, 2)))
  np.testing.assert_allclose(third, joint.sum((0, 1)))


def test_factored_mdp_keeps_the_implicit_q_additive_and_entanglement_breaks_it():
  residuals = []
  for entanglement in (0.0, 0.3):
    mdp = tabular.factored_mdp((3, 4), SHAPE, entanglement=entanglement, seed=4)
    errors = itertools.repeat(0.0, 30)
    for iterate in tabular.run_iq_dp(mdp, 0.9, 0.2, errors):
      implicit = iterate.soft_advantage + iterate.value[..., None]
      fit = tabular.additive_projection(implicit, np.ones_like(implicit), SHAPE)
    residuals.append(np.abs(implicit - fit).max())
    correlation = tabular.total_correlation(tabular.iterate_policy(iterate, 0.2), SHAPE)
    assert (correlation.max() > 1e-3) == (entanglement > 0)
  assert residuals[0] < 1e-12
  assert residuals[1] > 0.3


def test_factored_mdp_is_deterministic_and_its_parts_move_alone():
  mdp = tabular.factored_mdp((3, 4), SHAPE, seed=4)
  assert set(np.unique(mdp.transition)) == {0.0, 1.0}
  successor = mdp.transition.argmax(axis=-1).reshape(3, 4, 3, 4)
  first, second = successor // 4, successor % 4
  assert (first == first[:, :1, :, :1]).all()  # depends on its own state and action
  assert (second == second[:1, :, :1, :]).all()
  assert np.abs(mdp.reward).max() <= 1.0


def test_entanglement_is_its_root_mean_square_and_has_no_additive_part():
  plain, entangled = (
    tabular.factored_mdp((3, 4), SHAPE, entanglement=e, seed=4) for e in (0.0, 0.5)
  )
  extra = entangled.reward - plain.reward
  np.testing.assert_allclose((extra**2).mean(axis=-1), 0.25)
  np.testing.assert_allclose(extra.reshape(12, 3, 4).mean(axis=1), 0, atol=1e-12)
  np.testing.assert_allclose(extra.reshape(12, 3, 4).mean(axis=2), 0, atol=1e-12)
