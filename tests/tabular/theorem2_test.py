import numpy as np
import pytest
import scipy.special

from iq_acme import tabular
from iq_acme.tabular import error_propagation

TEMPERATURE = 0.1
GAMMA = 0.9
NUM_ACTIONS = 4


@pytest.fixture(scope='module')
def garnets():
  return tabular.garnet(12, NUM_ACTIONS, 3, GAMMA, num_mdps=10, seed=5)


def noisy_run(mdp, alpha, num_updates=40, kind='iid', scale=0.5):
  """Errors, iterates and the q_k that update k was greedy for."""
  errors = list(tabular.draw_errors(mdp, kind, scale, num_updates, seed=2))
  iterates = list(tabular.run_iq_dp(mdp, alpha, TEMPERATURE, errors))
  values = [np.zeros(mdp.reward.shape[:-1])] + [x.value for x in iterates[:-1]]
  qs = [
    mdp.reward + GAMMA * np.einsum('msat,mt->msa', mdp.transition, v) + e
    for v, e in zip(values, errors)
  ]
  return errors, iterates, qs


def discounted_sum(terms, alpha):
  """The display of line 172, summed literally: (1-alpha) sum_j alpha^(k-j) x_j."""
  k = len(terms) - 1
  return (1 - alpha) * sum(alpha ** (k - j) * x for j, x in enumerate(terms))


@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.95])
def test_recursion_a_is_exact(garnets, alpha):
  """h_k = T h_{k-1} + E_k - alpha^k (alpha r + gamma eta ln A), and pi_{k+2} = G(h_k)."""
  errors, iterates, qs = noisy_run(garnets, alpha)
  eta = (1 - alpha) * TEMPERATURE
  previous = np.zeros_like(garnets.reward)
  for k in range(len(errors)):
    average = discounted_sum(qs[: k + 1], alpha)
    moving_error = discounted_sum(errors[: k + 1], alpha)
    soft = eta * scipy.special.logsumexp(previous / eta, axis=-1)
    backed_up = garnets.reward + GAMMA * np.einsum(
      'msat,mt->msa', garnets.transition, soft
    )
    start = -(alpha**k) * (alpha * garnets.reward + GAMMA * eta * np.log(NUM_ACTIONS))
    np.testing.assert_allclose(average, backed_up + moving_error + start, atol=1e-11)
    weights = np.exp((average - average.max(axis=-1, keepdims=True)) / eta)
    policy = weights / weights.sum(axis=-1, keepdims=True)
    iterate_policy = tabular.iterate_policy(iterates[k], TEMPERATURE)
    np.testing.assert_allclose(iterate_policy, policy, atol=1e-9)
    previous = average


def test_recursion_b_is_exact(garnets):
  """h_k = T_pi h_k + mean error + gamma P (tau H - tau ln A - V_{k+1}) / (k+1)."""
  errors, iterates, qs = noisy_run(garnets, 1.0)
  for k, iterate in enumerate(iterates):
    average = sum(qs[: k + 1]) / (k + 1)
    policy = tabular.softmax((k + 1) * average, TEMPERATURE)
    iterate_policy = tabular.iterate_policy(iterate, TEMPERATURE)
    np.testing.assert_allclose(iterate_policy, policy, atol=1e-10)
    entropy = scipy.special.entr(policy).sum(axis=-1)
    drift = TEMPERATURE * (entropy - np.log(NUM_ACTIONS)) - iterate.value
    inner = (policy * average).sum(axis=-1) + drift / (k + 1)
    backed_up = garnets.reward + GAMMA * np.einsum(
      'msat,mt->msa', garnets.transition, inner
    )
    mean_error = sum(errors[: k + 1]) / (k + 1)
    np.testing.assert_allclose(average, backed_up + mean_error, atol=1e-12)


def test_an_error_first_acts_on_the_policy_two_indices_later(garnets):
  """epsilon_k leaves pi_{k+1} alone and changes pi_{k+2}: the index of Theorem 2."""
  clean = [np.zeros_like(garnets.reward)] * 6
  dirty = list(clean)
  dirty[3] = next(tabular.draw_errors(garnets, 'iid', 1.0, 1))
  runs = [
    [x.soft_advantage for x in tabular.run_iq_dp(garnets, 0.9, TEMPERATURE, errors)]
    for errors in (clean, dirty)
  ]
  # Entry k of a run is tau ln pi_{k+2}.
  np.testing.assert_array_equal(runs[0][2], runs[1][2])
  assert np.abs(runs[0][3] - runs[1][3]).max() > 0.1


def test_the_error_is_the_papers_difference_of_actual_and_ideal_update(garnets):
  errors, iterates, _ = noisy_run(garnets, 0.7)
  for previous, iterate, error in zip(iterates, iterates[1:], errors[1:]):
    ideal = tabular.bootstrap(garnets, previous.value) + 0.7 * previous.soft_advantage
    actual = iterate.soft_advantage + iterate.value[..., None]
    np.testing.assert_allclose(actual - ideal, error, atol=1e-13)


def test_errors_are_independent_of_the_mdp_that_has_their_seed():
  mdp = tabular.garnet(20, 4, 4, GAMMA, num_mdps=10, seed=7)
  for error in tabular.draw_errors(mdp, 'iid', 1.0, 60, seed=7):
    correlation = np.corrcoef(error.ravel(), mdp.reward.ravel())[0, 1]
    assert abs(correlation) < 0.2  # 5.6 standard deviations of 800 independent pairs


@pytest.mark.parametrize('kind', tabular.ERROR_KINDS)
@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.9, 1.0])
def test_bound_holds_at_every_update(garnets, kind, alpha):
  num_updates = 150
  errors = tabular.draw_errors(garnets, kind, 0.5, num_updates)
  trace = tabular.propagate_errors(
    garnets, alpha, TEMPERATURE, errors, range(num_updates)
  )
  np.testing.assert_array_equal(trace.update, np.arange(num_updates))
  assert (trace.policy_distance <= trace.error_term + trace.remainder).all()
  if alpha < 1:
    # The sharper form: the sum gains a factor gamma, and h_k obeys it without 2 gamma.
    sharp = GAMMA * trace.error_term + trace.remainder
    assert (trace.policy_distance <= sharp).all()
    h_bound = sharp * (1 - GAMMA) / (2 * GAMMA)
    assert (trace.average_distance <= h_bound + 1e-12).all()


@pytest.mark.parametrize('alpha', [0.5, 1.0])
def test_trace_matches_the_displays_summed_literally(garnets, alpha):
  errors, iterates, qs = noisy_run(garnets, alpha, num_updates=12)
  k = 9
  trace = tabular.propagate_errors(garnets, alpha, TEMPERATURE, errors, [k])
  norm = error_propagation.max_norm
  reward = np.abs(garnets.reward).max(axis=(1, 2))
  spread = TEMPERATURE * np.log(NUM_ACTIONS)
  if alpha < 1:
    eta = (1 - alpha) * TEMPERATURE
    norms = [norm(discounted_sum(errors[: j + 1], alpha)) for j in range(k + 1)]
    error_term = (
      2 / (1 - GAMMA) * sum(GAMMA ** (k - j) * n for j, n in enumerate(norms))
    )
    first = alpha * reward + GAMMA * (1 - alpha) * spread
    mixed = sum(GAMMA ** (k - j) * alpha**j for j in range(k + 1))
    max_q = (reward + (1 - alpha) * spread) / (1 - GAMMA)
    remainder = 2 * GAMMA / (1 - GAMMA) * (mixed * first + GAMMA ** (k + 1) * max_q)
    average = discounted_sum(qs[: k + 1], alpha)
  else:
    eta = 0.0
    error_term = 2 / (1 - GAMMA) * norm(sum(errors[: k + 1]) / (k + 1))
    largest = np.max([norm(e) for e in errors[: k + 1]], axis=0)
    max_v = (reward + largest) / (1 - GAMMA)
    remainder = GAMMA * (2 * max_v + spread) / ((1 - GAMMA) * (k + 1))
    average = sum(qs[: k + 1]) / (k + 1)
  optimum = tabular.optimal_q(garnets, eta)
  policy = tabular.iterate_policy(iterates[k], TEMPERATURE)
  distance = norm(optimum - tabular.policy_q(garnets, policy, eta))
  np.testing.assert_allclose(trace.policy_distance[0], distance, rtol=1e-10)
  np.testing.assert_allclose(trace.average_distance[0], norm(optimum - average))
  np.testing.assert_allclose(trace.error_term[0], error_term, rtol=1e-12)
  np.testing.assert_allclose(trace.remainder[0], remainder, rtol=1e-12)


@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.9, 0.99])
def test_g2_dominates_the_derived_remainder_up_to_its_constant(garnets, alpha):
  errors = list(tabular.draw_errors(garnets, 'iid', 0.5, 80))
  trace = tabular.propagate_errors(garnets, alpha, TEMPERATURE, errors, range(80))
  spread = (1 - alpha) * TEMPERATURE * np.log(NUM_ACTIONS)
  max_value = (np.abs(garnets.reward).max(axis=(1, 2)) + 0.5 + spread) / (1 - GAMMA)
  for k in range(80):
    g2 = tabular.g2_remainder(k, alpha, GAMMA, max_value)
    assert (trace.remainder[k] <= 2 * GAMMA / (1 - GAMMA) * g2).all()


def test_g2_by_hand():
  # k = 1: (1 + (1 - 1/2) / (1 - 3/4)) * (3/4 + 1/2) * 2 = 3 * 1.25 * 2.
  assert tabular.g2_remainder(1, 0.5, 0.75, 2.0) == pytest.approx(7.5, rel=1e-15)
  # gamma^(k-j) beta^j, not the ratio: neither end may divide by zero.
  assert tabular.g2_remainder(500, 0.9, 0.0, 1.0) == pytest.approx(1.1 * 0.9**500)


def test_iid_errors_average_out_with_kl_alone_and_not_without():
  """||Q_* - h_k|| falls like k^(-1/2) at alpha = 1; at alpha = 0 it stays."""
  mdp = tabular.garnet(8, NUM_ACTIONS, 3, GAMMA, num_mdps=40, seed=9)
  updates = [99, 1599]  # sixteen times as many, so a quarter of the distance
  ratio = {}
  for alpha in (0.0, 1.0):
    errors = tabular.draw_errors(mdp, 'iid', 5.0, 1600)
    trace = tabular.propagate_errors(mdp, alpha, 0.01, errors, updates)
    mean = trace.average_distance.mean(axis=1)
    ratio[alpha] = mean[0] / mean[1]
  assert ratio[0.0] == pytest.approx(1.0, abs=0.1)
  assert ratio[1.0] == pytest.approx(4.0, rel=0.25)


def test_moving_average_lowers_the_noise_by_the_factor_of_its_variance():
  """The stationary E_k of i.i.d. errors has variance (1-alpha)/(1+alpha) of theirs."""
  rng = np.random.default_rng(0)
  alpha, average, squares = 0.9, np.zeros(50_000), 0.0
  for _ in range(120):
    average = alpha * average + (1 - alpha) * rng.uniform(-1, 1, size=average.shape)
  squares = (average**2).mean()
  assert squares == pytest.approx((1 - alpha) / (1 + alpha) / 3, rel=0.02)
  assert error_propagation.averaging_weight(0.9, 7) == pytest.approx(0.1)
  assert error_propagation.averaging_weight(1.0, 7) == pytest.approx(1 / 8)
