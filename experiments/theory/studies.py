"""Measurements behind the theory figures: Theorems 1 and 2, and error averaging."""

import itertools

import numpy as np

from experiments.theory.common import (
  DISCOUNT,
  Row,
  Statement,
  Study,
  garnets,
  log_spaced,
  loglog_slope,
  summary,
)
from iq_acme import tabular
from iq_acme.tabular import md_vi

EPSILON = np.finfo(np.float64).eps
# Of `bounds`: tau and the largest error, both in the unit of rewards.
TEMPERATURE = 0.1
ERROR_SCALE = 1.0


def equivalence(num_mdps: int = 50, num_updates: int = 200, seed: int = 0) -> Study:
  """Measures how far IQ-DP and MD-VI are apart, in units of rounding (Theorem 1).

  The unit is machine epsilon times v_max = (R_max + tau ln A) / (1 - gamma), and, at
  alpha = 1, times the number of updates so far, for tau ln pi grows with it.

  Args:
    num_mdps: Garnet MDPs.
    num_updates: Updates of both schemes; the deviation is the largest over them.
    seed: Seed of the MDPs.

  Returns:
    Rows over alpha, temperature and quantity (V or tau ln pi).
  """
  mdp = garnets(num_mdps, seed)
  rows = []
  for alpha, temperature in itertools.product(
    (0.0, 0.1, 0.5, 0.9, 0.99, 1.0), (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
  ):
    reward = np.abs(mdp.reward).max(axis=(1, 2))
    unit = EPSILON * (reward + temperature * np.log(4)) / (1 - DISCOUNT)
    other = md_vi.initial_iterate(mdp)
    largest = {'V': np.zeros(num_mdps), 'tau ln pi': np.zeros(num_mdps)}
    errors = itertools.repeat(0.0, num_updates)
    for k, iterate in enumerate(tabular.run_iq_dp(mdp, alpha, temperature, errors)):
      other = tabular.md_vi_step(
        mdp, other, alpha * temperature, (1 - alpha) * temperature
      )
      growth = k + 1 if alpha == 1.0 else 1
      for name, difference in (
        ('V', iterate.value - other.value),
        ('tau ln pi', iterate.soft_advantage - temperature * other.log_policy),
      ):
        deviation = np.abs(difference).reshape(num_mdps, -1).max(axis=1)
        largest[name] = np.maximum(largest[name], deviation / unit / growth)
    rows += [
      {'alpha': alpha, 'temperature': temperature, 'quantity': name, **summary(values)}
      for name, values in largest.items()
    ]
  check = (
    f'{num_mdps} Garnet MDPs, {num_updates} updates, 6 alphas, 6 temperatures from 1e-4 '
    f'to 10; unit: machine epsilon times v_max (times k at alpha = 1)'
  )
  statement = Statement(
    'IQ-DP(alpha, tau) is MD-VI(alpha tau, (1 - alpha) tau)',
    'Theorem 1',
    check,
    _largest_deviations(rows),
  )
  return Study(rows, [statement])


def _largest_deviations(rows: list[Row]) -> str:
  """Returns the result of `equivalence` in words."""

  def worst(quantity: str, *alphas: float) -> float:
    return max(
      row['max']
      for row in rows
      if row['quantity'] == quantity and row['alpha'] in alphas
    )

  return (
    f'largest deviation of V {worst("V", 0.0, 0.1, 0.5, 0.9, 0.99):.1f} '
    f'units; of tau ln pi {worst("tau ln pi", 0.0, 0.1, 0.5):.1f} for alpha <= 0.5, '
    f'{worst("tau ln pi", 0.9):.0f} at 0.9, {worst("tau ln pi", 0.99):.0f} at 0.99 (it '
    f'sums its rounding over 1 / (1 - alpha) updates); at alpha = 1, per update, '
    f'{worst("V", 1.0):.2f} and {worst("tau ln pi", 1.0):.1f}'
  )


def bounds(num_mdps: int = 50, num_updates: int = 800, seed: int = 1) -> Study:
  """Measures both sides of Theorem 2, for four kinds of errors.

  Args:
    num_mdps: Garnet MDPs.
    num_updates: Updates; both sides are measured at each, and some thirty go into
      the rows. Those have even k, for the alternating errors cancel at odd ones.
    seed: Seed of the MDPs and the errors.

  Returns:
    Rows over alpha, kind of error and update.
  """
  mdp = garnets(num_mdps, seed)
  rows, statements = [], []
  for alpha in (0.9, 1.0):
    parts = [
      _bounds_of_kind(mdp, alpha, k, num_updates, seed) for k in tabular.ERROR_KINDS
    ]
    shown = {2 * (k // 2) for k in log_spaced(num_updates, 30)}
    rows += [row for part in parts for row in part if row['update'] in shown]
    ratios = {
      part[0]['errors']: max(row['largest_ratio'] for row in part) for part in parts
    }
    result = 'it holds; largest measured / bound: ' + ', '.join(
      f'{kind} {ratio:.3f}' for kind, ratio in ratios.items()
    )
    if alpha < 1:
      largest = max(row['largest_ratio_with_g2'] for row in itertools.chain(*parts))
      result += f'; with g_2(k) as the remainder at most {largest:.3f}'
    statements.append(
      Statement(
        f'Error propagation, {"alpha = 1" if alpha == 1 else "alpha < 1 (here 0.9)"}',
        f'Theorem 2, case {2 if alpha == 1 else 1}',
        f'{num_mdps} Garnet MDPs, {num_updates} updates, errors up to 1, tau '
        f'{TEMPERATURE}; the exact recursions behind it are tested to rounding',
        result,
      )
    )
  return Study(rows, statements)


def _bounds_of_kind(
  mdp: tabular.FiniteMDP, alpha: float, kind: str, num_updates: int, seed: int
) -> list[Row]:
  """Measures both sides for one alpha and kind of errors, a row per update."""
  trace = tabular.propagate_errors(
    mdp,
    alpha,
    TEMPERATURE,
    tabular.draw_errors(mdp, kind, ERROR_SCALE, num_updates, seed),
    range(num_updates),
  )
  spread = (1 - alpha) * TEMPERATURE * np.log(mdp.num_actions)
  max_value = (np.abs(mdp.reward).max(axis=(1, 2)) + ERROR_SCALE + spread) / (
    1 - DISCOUNT
  )
  rows = []
  for i, k in enumerate(trace.update):
    distance, error_term = trace.policy_distance[i], trace.error_term[i]
    remainder = trace.remainder[i]
    row = {'alpha': alpha, 'errors': kind, 'update': int(k)}
    row |= {f'distance_{name}': x for name, x in summary(distance).items()}
    row |= {
      'error_term_median': np.median(error_term),
      'remainder_median': np.median(remainder),
      'bound_median': np.median(error_term + remainder),
      'largest_ratio': (distance / (error_term + remainder)).max(),
      'g2_median': np.nan,
      'largest_ratio_with_g2': np.nan,
    }
    if alpha < 1:
      g2 = tabular.g2_remainder(int(k), alpha, DISCOUNT, max_value)
      row['g2_median'] = np.median(g2)
      row['largest_ratio_with_g2'] = (distance / (error_term + g2)).max()
    rows.append(row)
  return rows


def averaging(num_mdps: int = 60, num_updates: int = 5000, seed: int = 2) -> Study:
  """Shows that i.i.d. errors average out with KL alone (Section 3.2), not without it.

  Args:
    num_mdps: Garnet MDPs.
    num_updates: Updates, recorded at log-spaced ones.
    seed: Seed of the MDPs and the errors, which all alphas share.

  Returns:
    Rows over alpha, quantity and update. The quantities are the distance of h_k, the
    averaged Q-value the policy is greedy for, and of the policy's own Q-value.
  """
  mdp = garnets(num_mdps, seed)
  rows, slopes = [], {}
  for alpha in (0.0, 0.5, 0.9, 0.99, 1.0):
    trace = tabular.propagate_errors(
      mdp,
      alpha,
      0.01,
      tabular.draw_errors(mdp, 'iid', 3.0, num_updates, seed),
      log_spaced(num_updates, 40),
    )
    for quantity, distances in (
      ('average', trace.average_distance),
      ('policy', trace.policy_distance),
    ):
      means = distances.mean(axis=1)
      late = trace.update >= num_updates // 10
      slopes[alpha, quantity] = loglog_slope(trace.update[late] + 1, means[late])
      rows += [
        {
          'alpha': alpha,
          'quantity': quantity,
          'update': int(k),
          'mean': means[i],
          **summary(distances[i]),
        }
        for i, k in enumerate(trace.update)
      ]
  check = (
    f'{num_mdps} Garnet MDPs, errors i.i.d. uniform in [-3, 3], tau 0.01; slope in log-log '
    f'over the last tenfold of {num_updates} updates'
  )
  result = 'slope of the distance of h_k (of Q_pi): ' + ', '.join(
    f'{slopes[alpha, "average"]:.2f} ({slopes[alpha, "policy"]:.2f}) at alpha {alpha:g}'
    for alpha in (0.0, 0.5, 0.9, 0.99, 1.0)
  )
  return Study(
    rows,
    [Statement('KL alone averages i.i.d. errors out', 'Section 3.2', check, result)],
  )


def worst_gap(num_seeds: int = 300, num_updates: int = 3000, seed: int = 3) -> Study:
  """Measures Theorem 2's rate for the policy itself, over MDPs and not for one.

  On a fixed MDP the policy's loss ends exponentially fast once the averaged errors
  are below the gap between actions. Uniformly over MDPs it cannot beat 1 / sqrt(k):
  here one state and two actions, with the gap that is worst at each k.

  Args:
    num_seeds: Draws of the errors for each gap.
    num_updates: Updates, recorded at log-spaced ones.
    seed: Seed of the errors.

  Returns:
    Rows over alpha and update: the largest over gaps of the mean loss over seeds.
  """
  gaps = np.geomspace(1e-3, 10.0, 40)
  reward = np.zeros((len(gaps), num_seeds, 1, 2))
  reward[..., 0] = gaps[:, None, None]
  mdp = tabular.FiniteMDP(np.ones((*reward.shape, 1)), reward, DISCOUNT)
  rows, slopes = [], {}
  for alpha in (0.0, 1.0):
    trace = tabular.propagate_errors(
      mdp,
      alpha,
      1e-4,
      tabular.draw_errors(mdp, 'iid', 1.0, num_updates, seed),
      log_spaced(num_updates, 30),
    )
    means = trace.policy_distance.mean(axis=-1)  # [K, gaps]
    worst = means.argmax(axis=1)
    for i, k in enumerate(trace.update):
      losses = trace.policy_distance[i, worst[i]]
      rows.append(
        {
          'alpha': alpha,
          'update': int(k),
          'worst_gap': gaps[worst[i]],
          'mean_loss': losses.mean(),
          'standard_error': losses.std(ddof=1) / np.sqrt(num_seeds),
        }
      )
    late = trace.update >= 9
    slopes[alpha] = loglog_slope(trace.update[late] + 1, means.max(axis=1)[late])
  statement = Statement(
    'The policy improves like 1 / sqrt(k), over MDPs',
    'Section 3.2',
    f'one state, two actions, {len(gaps)} gaps, {num_seeds} seeds; loss at the worst '
    f'gap for each k, slope in log-log from k = 10 to {num_updates}',
    f'slope {slopes[1.0]:.2f} at alpha = 1, {slopes[0.0]:.2f} at alpha = 0',
  )
  return Study(rows, [statement])
