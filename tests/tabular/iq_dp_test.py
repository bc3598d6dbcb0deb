import itertools

import numpy as np
import pytest
import scipy.optimize

from iq_acme import tabular
from iq_acme.tabular import md_vi

LN2, LN3 = np.log(2.0), np.log(3.0)
EPSILON = np.finfo(np.float64).eps


@pytest.fixture(scope='module')
def garnets():
  return tabular.garnet(20, 4, 3, 0.9, num_mdps=20, seed=3)


def exact_iterates(mdp, alpha, temperature, num_updates):
  return tabular.run_iq_dp(mdp, alpha, temperature, itertools.repeat(0.0, num_updates))


# --- MDPs, evaluation, optima ---------------------------------------------------


def test_garnet_has_the_branching_asked_for_and_is_reproducible(garnets):
  np.testing.assert_array_equal((garnets.transition > 0).sum(axis=-1), 3)
  again = tabular.garnet(20, 4, 3, 0.9, num_mdps=20, seed=3)
  np.testing.assert_array_equal(garnets.transition, again.transition)
  assert not np.array_equal(garnets.reward[0], garnets.reward[1])


def test_optima_of_the_two_state_mdp_are_those_worked_out_by_hand():
  mdp = tabular.two_state_mdp()
  # State 1 alone: V = ln 3 + V / 2. State 0: move there, ln 3 after one discount.
  plain = [[0.5 * LN3, LN3], [LN3, 2 * LN3]]
  np.testing.assert_allclose(tabular.optimal_q(mdp), plain, rtol=1e-14)
  # Temperature 1: V(1) = ln 4 + V(1) / 2 = ln 16; x = exp(V(0) / 2) solves x^2 = x + 4.
  log_x = np.log((1 + np.sqrt(17.0)) / 2)
  soft = [[log_x, 2 * LN2], [2 * LN2, LN3 + 2 * LN2]]
  np.testing.assert_allclose(tabular.optimal_q(mdp, 1.0), soft, rtol=1e-14)


@pytest.mark.parametrize('temperature', [0.0, 1e-3, 1.0])
def test_exact_evaluation_is_the_fixed_point_of_the_bellman_operator(
  garnets, temperature
):
  policy = np.random.default_rng(0).dirichlet(np.ones(4), size=(20, 20))
  q = tabular.policy_q(garnets, policy, temperature)
  iterated = np.zeros_like(q)
  for _ in range(400):
    iterated = tabular.bellman(garnets, policy, iterated, temperature)
  np.testing.assert_allclose(q, iterated, atol=1e-12)
  # The operator itself, against its display on line 126 written with an einsum.
  inner = np.einsum('msa,msa->ms', policy, q - temperature * np.log(policy))
  display = garnets.reward + 0.9 * np.einsum('msat,mt->msa', garnets.transition, inner)
  np.testing.assert_allclose(q, display, atol=1e-12)


@pytest.mark.parametrize('temperature', [0.0, 1e-4, 0.1, 10.0])
def test_optimum_is_a_fixed_point_that_no_policy_beats(garnets, temperature):
  q = tabular.optimal_q(garnets, temperature)
  scale = np.abs(q).max()
  residual = tabular.optimality_bellman(garnets, q, temperature) - q
  assert np.abs(residual).max() <= 8 * EPSILON * scale
  for seed in range(5):
    policy = np.random.default_rng(seed).dirichlet(np.ones(4), size=(20, 20))
    other = tabular.policy_q(garnets, policy, temperature)
    assert (q >= other - 1e-12 * scale).all()


@pytest.mark.parametrize(
  ('call', 'field'),
  [
    (lambda: tabular.FiniteMDP(np.full((2, 2, 2), 0.4), np.zeros((2, 2)), 0.9), 'sum'),
    (
      lambda: tabular.FiniteMDP(np.full((2, 2, 3), 1 / 3), np.zeros((2, 2)), 0.9),
      'transition',
    ),
    (
      lambda: tabular.FiniteMDP(np.full((1, 1, 1), 1.0), np.full((1, 1), np.nan), 0.9),
      'reward',
    ),
    (lambda: tabular.FiniteMDP(np.ones((1, 1, 1)), np.zeros((1, 1)), 1.0), 'discount'),
    (lambda: tabular.garnet(3, 2, 4), 'branching'),
    (lambda: tabular.garnet(0, 2, 1), 'num_states'),
    (lambda: next(exact_iterates(tabular.two_state_mdp(), 1.1, 1.0, 1)), 'munchausen'),
    (lambda: next(exact_iterates(tabular.two_state_mdp(), -0.1, 1.0, 1)), 'munchausen'),
    (lambda: next(exact_iterates(tabular.two_state_mdp(), 0.5, 0.0, 1)), 'temperature'),
    (lambda: tabular.optimal_q(tabular.two_state_mdp(), -1.0), 'temperature'),
    (lambda: tabular.policy_q(tabular.two_state_mdp(), np.ones((2, 2))), 'policy'),
    (lambda: md_vi.greedy_log_policy(np.zeros(2), np.zeros(2), 0.0, 0.0), 'kl_weight'),
    (lambda: md_vi.greedy_log_policy(np.zeros(2), np.zeros(2), -1.0, 2.0), 'kl_weight'),
    (lambda: tabular.draw_errors(tabular.two_state_mdp(), 'x', 1.0, 1), 'kind'),
    (lambda: tabular.factored_mdp((3,), (2, 2)), 'state_shape'),
    (lambda: tabular.factored_mdp((3,), (4,), entanglement=0.5), 'entanglement'),
    (lambda: tabular.total_correlation(np.ones(4) / 4, (2, 3)), 'action_shape'),
    (
      lambda: tabular.additive_projection(np.zeros(4), -np.ones(4), (2, 2)),
      'weights',
    ),
  ],
)
def test_bad_input_is_named(call, field):
  with pytest.raises(ValueError, match=field):
    call()


# --- IQ-DP, MD-VI, Theorem 1 ----------------------------------------------------

# (alpha, pi_2(state 1), V_1, pi_3(state 0), pi_3(state 1), V_2), at temperature 1.
HAND_WORKED = [
  (
    0.0,
    [1 / 4, 3 / 4],
    [LN2, 2 * LN2],
    np.array([np.sqrt(2), 2]) / (np.sqrt(2) + 2),
    [1 / 4, 3 / 4],
    [np.log(np.sqrt(2) + 2), 3 * LN2],
  ),
  (
    0.5,
    [1 / 4, 3 / 4],
    [0.5 * LN2, 1.5 * LN2],
    np.array([1, np.sqrt(2)]) / (1 + np.sqrt(2)),
    np.array([1, 3 * np.sqrt(3)]) / (1 + 3 * np.sqrt(3)),
    [np.log(2**-0.25 + 2**0.25), np.log(1 + 3 * np.sqrt(3)) - 0.25 * LN2],
  ),
  (
    1.0,
    [1 / 4, 3 / 4],
    [0.0, LN2],
    np.array([1, np.sqrt(2)]) / (1 + np.sqrt(2)),
    [1 / 10, 9 / 10],
    [np.log((1 + np.sqrt(2)) / 2), np.log(10 / 4) + 0.5 * LN2],
  ),
]


@pytest.mark.parametrize(
  ('alpha', 'policy_2', 'value_1', 'policy_3_0', 'policy_3_1', 'value_2'), HAND_WORKED
)
def test_two_updates_of_both_schemes_match_the_hand_worked_numbers(
  alpha, policy_2, value_1, policy_3_0, policy_3_1, value_2
):
  mdp = tabular.two_state_mdp()
  first, second = exact_iterates(mdp, alpha, 1.0, 2)
  one = tabular.md_vi_step(mdp, md_vi.initial_iterate(mdp), alpha, 1.0 - alpha)
  two = tabular.md_vi_step(mdp, one, alpha, 1.0 - alpha)
  for log_policy, value in ((first.soft_advantage, first.value), one):
    np.testing.assert_allclose(np.exp(log_policy), [[0.5, 0.5], policy_2], rtol=1e-14)
    np.testing.assert_allclose(value, value_1, atol=1e-15)
  for log_policy, value in ((second.soft_advantage, second.value), two):
    expected = [policy_3_0, policy_3_1]
    np.testing.assert_allclose(np.exp(log_policy), expected, rtol=1e-14)
    np.testing.assert_allclose(value, value_2, rtol=1e-14)


@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize('temperature', [1e-4, 1e-2, 1.0, 10.0])
def test_theorem_1_iq_dp_is_md_vi_to_rounding(garnets, alpha, temperature):
  max_value = (1.0 + temperature * np.log(4)) / (1.0 - 0.9)
  # tau ln pi sums rounded targets with weights alpha^j, and is itself that much larger.
  gain = 1 / (1 - alpha) if alpha < 1 else 100.0
  other = md_vi.initial_iterate(garnets)
  errors = list(tabular.draw_errors(garnets, 'iid', 0.1, 100))
  for iterate, error in zip(
    tabular.run_iq_dp(garnets, alpha, temperature, errors), errors
  ):
    other = tabular.md_vi_step(
      garnets, other, alpha * temperature, (1 - alpha) * temperature, error
    )
    unit = EPSILON * max_value
    assert np.abs(iterate.value - other.value).max() <= 10 * unit * gain
    scaled = temperature * other.log_policy
    assert np.abs(iterate.soft_advantage - scaled).max() <= 20 * unit * gain


@pytest.mark.filterwarnings('ignore:Values in x were outside bounds')
@pytest.mark.parametrize(
  ('kl_weight', 'entropy_weight'), [(0.4, 0.3), (0.0, 0.5), (1, 0)]
)
def test_greedy_step_agrees_with_a_convex_solver(kl_weight, entropy_weight):
  rng = np.random.default_rng(1)
  q, previous = rng.normal(size=4), rng.dirichlet(np.ones(4))

  def objective(policy):
    entropy = -(policy * np.log(policy)).sum()
    kl = (policy * np.log(policy / previous)).sum()
    return -(policy @ q + entropy_weight * entropy - kl_weight * kl)

  solved = scipy.optimize.minimize(
    objective,
    np.full(4, 0.25),
    bounds=[(1e-9, 1.0)] * 4,  # keeps the logarithms finite
    constraints={'type': 'eq', 'fun': lambda policy: policy.sum() - 1.0},
    method='SLSQP',
    options={'ftol': 1e-14, 'maxiter': 500},
  )
  log_policy = md_vi.greedy_log_policy(q, np.log(previous), kl_weight, entropy_weight)
  value = md_vi.regularised_value(
    q, log_policy, np.log(previous), kl_weight, entropy_weight
  )
  np.testing.assert_allclose(np.exp(log_policy), solved.x, atol=1e-6)
  np.testing.assert_allclose(value, -solved.fun, atol=1e-10)


@pytest.mark.parametrize('alpha', [0.0, 0.9, 1.0])
@pytest.mark.parametrize('temperature', [1e-4, 1e-12, 1e-300])
def test_small_temperatures_stay_finite(garnets, alpha, temperature):
  with np.errstate(all='raise', under='ignore'):
    *_, last = exact_iterates(garnets, alpha, temperature, 200)
    policy = tabular.iterate_policy(last, temperature)
  assert np.isfinite(last.soft_advantage).all()
  assert np.isfinite(last.value).all()
  np.testing.assert_allclose(policy.sum(axis=-1), 1.0, rtol=1e-14)


@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize('temperature', [1e-2, 1e-4, 1e-8])
def test_zero_temperature_is_advantage_learning(garnets, alpha, temperature):
  """Value iteration where alpha = 0. The tolerance is derived, not tuned.

  By recursion A, averages at eta and at 0 differ by at most 2 gamma eta ln A /
  (1 - gamma); their soft maxima by 2 eta ln A / (1 - gamma); dividing by 1 - alpha,
  V by 2 (1 + alpha) and tau ln pi by 4 times tau ln A / (1 - gamma).
  """
  q = np.zeros_like(garnets.reward)
  for iterate in exact_iterates(garnets, alpha, temperature, 60):
    q = tabular.advantage_learning_step(garnets, q, alpha)
    implicit = iterate.soft_advantage + iterate.value[..., None]
    tolerance = (6 + 2 * alpha) * temperature * np.log(4) / (1 - 0.9)
    np.testing.assert_allclose(implicit, q, atol=tolerance)


@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.9])
def test_iq_dp_converges_to_the_regularised_optimum(garnets, alpha):
  temperature = 0.2
  *_, last = exact_iterates(garnets, alpha, temperature, 500)
  optimum = tabular.optimal_q(garnets, (1 - alpha) * temperature)
  policy = tabular.iterate_policy(last, temperature)
  expected = tabular.softmax(optimum, (1 - alpha) * temperature)
  np.testing.assert_allclose(policy, expected, atol=1e-9)
  # At the fixed point V is the soft value of the regularised optimum.
  value = tabular.log_sum_exp(optimum, (1 - alpha) * temperature)
  np.testing.assert_allclose(last.value, value, rtol=1e-10)


def test_kl_alone_converges_to_the_plain_optimum(garnets):
  *_, last = exact_iterates(garnets, 1.0, 0.2, 2000)
  q = tabular.policy_q(garnets, tabular.iterate_policy(last, 0.2))
  np.testing.assert_allclose(q, tabular.optimal_q(garnets), atol=2e-2)


def test_eq_1_makes_the_policy_a_softmax_and_v_the_soft_value(garnets):
  *_, last = exact_iterates(garnets, 0.9, 0.3, 5)
  implicit = last.soft_advantage + last.value[..., None]
  weights = np.exp(implicit / 0.3)
  policy = weights / weights.sum(axis=-1, keepdims=True)
  np.testing.assert_allclose(tabular.iterate_policy(last, 0.3), policy, rtol=1e-12)
  np.testing.assert_allclose(last.value, 0.3 * np.log(weights.sum(-1)), rtol=1e-12)
