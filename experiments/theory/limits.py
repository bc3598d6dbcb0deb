"""Measurements behind the theory figures: the limits of Sections 3.1 and 3.3.

As `theory_common` says, each returns the rows of a CSV file and statements.
"""

import itertools

import numpy as np

from experiments.theory.common import (
  DISCOUNT,
  Statement,
  Study,
  garnets,
  log_spaced,
  summary,
)
from iq_acme import tabular

TEMPERATURES = tuple(np.geomspace(1e-5, 10.0, 25))


def zero_temperature(num_mdps: int = 50, num_updates: int = 200) -> Study:
  """Compares with value iteration and Advantage Learning as tau goes to 0, Section 3.1.

  Args:
    num_mdps: Garnet MDPs.
    num_updates: Updates; the distance is the largest over all of them.

  Returns:
    Rows over alpha and temperature: distance of the implicit Q from the limit's, and
    the bound on it derived in the tests, (6 + 2 alpha) tau ln A / (1 - gamma).
  """
  mdp = garnets(num_mdps, seed=4)
  rows = []
  for alpha, temperature in itertools.product(
    (0.0, 0.5, 0.9, 1.0), 10.0 ** np.arange(-6, 1)
  ):
    q = np.zeros_like(mdp.reward)
    largest = np.zeros(num_mdps)
    errors = itertools.repeat(0.0, num_updates)
    for iterate in tabular.run_iq_dp(mdp, alpha, temperature, errors):
      q = tabular.advantage_learning_step(mdp, q, alpha)
      implicit = iterate.soft_advantage + iterate.value[..., None]
      largest = np.maximum(largest, np.abs(implicit - q).max(axis=(1, 2)))
    bound = (6 + 2 * alpha) * temperature * np.log(4) / (1 - DISCOUNT)
    rows.append(
      {
        'alpha': alpha,
        'temperature': temperature,
        **summary(largest),
        'bound': bound,
      }
    )
  check = (
    f'{num_mdps} Garnet MDPs, {num_updates} updates, tau from 1e-6 to 1: largest distance '
    'between the two Q; it must be at most (6 + 2 alpha) tau ln A / (1 - gamma)'
  )

  def result(*alphas: float) -> str:
    chosen = [row for row in rows if row['alpha'] in alphas]
    lowest = max(row['max'] for row in chosen if row['temperature'] == 10.0**-6)
    ratio = max(row['max'] / row['bound'] for row in chosen)
    return f'{lowest:.0e} at tau = 1e-6; at most {ratio:.2f} of the bound at any tau'

  return Study(
    rows,
    [
      Statement(
        'alpha = 0, tau to 0: value iteration',
        'Section 3.1, line 149',
        check,
        result(0.0),
      ),
      Statement(
        'alpha > 0, tau to 0: Advantage Learning',
        'Section 3.1, line 153',
        check,
        result(0.5, 0.9, 1.0),
      ),
    ],
  )


def convergence(num_mdps: int = 50, num_updates: int = 1500, seed: int = 6) -> Study:
  """Shows that without errors IQ-DP finds the regularised optimum (Section 3.1).

  Args:
    num_mdps: Garnet MDPs.
    num_updates: Updates, recorded at log-spaced ones.
    seed: Seed of the MDPs.

  Returns:
    Rows over alpha and update: distance of the policy's Q-value from the optimum of
    the MDP regularised with (1 - alpha) tau, and of the plain one at alpha = 1.
  """
  mdp = garnets(num_mdps, seed)
  rows = []
  for alpha in (0.0, 0.5, 0.9, 0.99, 1.0):
    errors = itertools.repeat(np.zeros_like(mdp.reward), num_updates)
    trace = tabular.propagate_errors(
      mdp, alpha, 0.1, errors, log_spaced(num_updates, 40)
    )
    rows += [
      {'alpha': alpha, 'update': int(k), **summary(trace.policy_distance[i])}
      for i, k in enumerate(trace.update)
    ]
  last = {row['alpha']: row['max'] for row in rows}
  result = ', '.join(f'{value:.0e} at alpha {alpha:g}' for alpha, value in last.items())
  statement = Statement(
    'Without errors it converges to the policy that is optimal under (1 - alpha) tau',
    'Section 3.1, line 150',
    f'{num_mdps} Garnet MDPs, tau 0.1; largest distance of the Q-values after '
    f'{num_updates} updates',
    result,
  )
  return Study(rows, [statement])


def dueling(num_states: int = 200, num_actions: int = 11, seed: int = 5) -> Study:
  """Compares the soft advantage with its limit and the mean variant (Section 3.3).

  Args:
    num_states: Vectors of logits, standard normal.
    num_actions: Entries of each.
    seed: Seed of the logits.

  Returns:
    Rows over temperature and quantity: the soft advantage's distance from dueling's
    with max, if actions are distinct and if all tie, and how far V falls short
    of the soft value with the mean.
  """
  logits = np.random.default_rng(seed).normal(size=(num_states, num_actions))
  rows = []
  for temperature in TEMPERATURES:
    for quantity, values in (
      ('distinct', _dueling_gap(logits, temperature)),
      ('tied', _dueling_gap(np.zeros((1, num_actions)), temperature)),
      ('mean', tabular.mean_value_shortfall(logits, temperature)),
    ):
      rows.append(
        {
          'temperature': temperature,
          'quantity': quantity,
          **summary(values),
          'limit': temperature * np.log(num_actions),
        }
      )
  lowest = TEMPERATURES[0]
  at_lowest = {r['quantity']: r for r in rows if r['temperature'] == lowest}
  ratio = max(r['max'] / r['limit'] for r in rows if r['quantity'] != 'mean')
  check = (
    f'{num_states} vectors of {num_actions} normal logits, tau from {lowest:.0e} to 10'
  )
  return Study(
    rows,
    [
      Statement(
        'The soft advantage tends to dueling with max',
        'Section 3.3, line 228',
        check,
        f'distance / (tau ln A) at most {ratio:.6f}, attained where actions tie; '
        f'{at_lowest["distinct"]["max"]:.0e} at the lowest tau where they do not',
      ),
      Statement(
        'With the mean the policy is the same, but V is not the soft value',
        'Section 3.3, line 234',
        check,
        f'V is short by {at_lowest["mean"]["median"]:.2f} (median) as tau tends to 0',
      ),
    ],
  )


def _dueling_gap(logits: np.ndarray, temperature: float) -> np.ndarray:
  soft = tabular.soft_advantage(logits, temperature)
  return np.abs(tabular.max_advantage(logits) - soft).max(axis=-1)
