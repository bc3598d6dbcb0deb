"""Measurements behind the theory figures: factorised policies, Section 4.

As `theory_common` says, the study returns the rows of a CSV file and statements.
"""

import numpy as np

from experiments.theory.common import DISCOUNT, Row, Statement, Study, summary
from iq_acme import tabular

# How often each action of a state is in the data: all alike, as the current policy
# takes them, or as all policies so far did on average.
WEIGHTINGS = ('uniform', 'on-policy', 'replay')
NUM_UPDATES = 100  # gamma^100 is 3e-5


def factorisation(num_seeds: int = 16, temperature: float = 0.2) -> Study:
  """Measures what a factorised policy loses as actions entangle (Section 4, alpha = 0).

  Args:
    num_seeds: MDPs of 30 states and 5 x 5 actions for each entanglement.
    temperature: tau, in the unit of rewards.

  Returns:
    Rows over entanglement and quantity. In nats, averaged over states, for the exact
    softmax p of the regularised optimum: its total correlation, and KL(p || q) for
    Eq. 2's solution q with uniform data and with data from p. And, for each of the
    `WEIGHTINGS`, the loss of the policy that iterating Eq. 2's solution ends with, as
    a share of the way from the optimal policy (0) to the uniform one (1).
  """
  shape = (5, 5)
  rows = []
  for entanglement in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0):
    measured: dict[str, list[float]] = {}
    for seed in range(num_seeds):
      mdp = tabular.factored_mdp(
        (6, 5), shape, entanglement=entanglement, discount=DISCOUNT, seed=seed
      )
      for name, value in _gaps(mdp, shape, temperature).items():
        measured.setdefault(name, []).append(value)
    rows += [
      {'entanglement': entanglement, 'quantity': name, **summary(np.array(values))}
      for name, values in measured.items()
    ]
  return Study(rows, _statements(rows, num_seeds, temperature))


def factorised_iterates(
  mdp: tabular.FiniteMDP,
  action_shape: tuple[int, ...],
  munchausen_coefficient: float,
  temperature: float,
  num_updates: int,
  weighting: str = 'uniform',
) -> list[tabular.IQIterate]:
  """Runs IQ-DP with a factorised policy: updates are Eq. 2's least-squares solutions.

  What the projection takes away from the target is Theorem 2's error.

  Args:
    mdp: One MDP whose joint actions are in C order of `action_shape`.
    action_shape: Values of each action dimension.
    munchausen_coefficient: alpha.
    temperature: tau.
    num_updates: Iterations.
    weighting: One of `WEIGHTINGS`.

  Returns:
    (tau ln pi_{k+2}, V_{k+1}) for each update.
  """
  iterates = []
  iterate = tabular.initial_iterate(mdp, temperature)
  policy = replay = np.full_like(mdp.reward, 1 / mdp.num_actions)
  for k in range(num_updates):
    policy = tabular.iterate_policy(iterate, temperature)
    replay = replay + (policy - replay) / (k + 1)
    weights = {'uniform': np.ones(mdp.num_actions), 'on-policy': policy}.get(
      weighting, replay
    )
    target = tabular.bootstrap(mdp, iterate.value)
    target = target + munchausen_coefficient * iterate.soft_advantage
    error = tabular.additive_projection(target, weights, action_shape) - target
    iterate = tabular.iq_dp_step(
      mdp, iterate, munchausen_coefficient, temperature, error
    )
    iterates.append(iterate)
  return iterates


def _gaps(mdp: tabular.FiniteMDP, shape: tuple[int, ...], temperature: float) -> Row:
  """Measures the quantities of `factorisation` on one MDP."""
  q = tabular.optimal_q(mdp, temperature)
  exact = tabular.softmax(q, temperature)
  uniform = np.full_like(exact, 1 / mdp.num_actions)
  gaps = {'total correlation': tabular.total_correlation(exact, shape).mean()}
  for name, weights in (('uniform', uniform), ('on-policy', exact)):
    solution = tabular.additive_projection(q, weights, shape)
    policy = tabular.softmax(solution, temperature)
    gaps[f'KL, {name}'] = tabular.kl_divergence(exact, policy).mean()
  best = tabular.log_sum_exp(q, temperature).mean()
  worst = _mean_soft_value(mdp, uniform, temperature)
  for name in WEIGHTINGS:
    iterates = factorised_iterates(mdp, shape, 0.0, temperature, NUM_UPDATES, name)
    policy = tabular.iterate_policy(iterates[-1], temperature)
    value = _mean_soft_value(mdp, policy, temperature)
    gaps[f'loss, {name}'] = (best - value) / (best - worst)
  return gaps


def _mean_soft_value(
  mdp: tabular.FiniteMDP, policy: np.ndarray, temperature: float
) -> float:
  """Returns entropy-regularised value of a policy, averaged over states."""
  q = tabular.policy_q(mdp, policy, temperature)
  value = (policy * q).sum(axis=-1) + temperature * tabular.entropy(policy)
  return float(value.mean())


def _statements(rows: list[Row], num_seeds: int, temperature: float) -> list[Statement]:
  median = {(r['entanglement'], r['quantity']): r['median'] for r in rows}
  check = (
    f'{num_seeds} MDPs of 30 states and 5 x 5 actions, tau {temperature:g}, alpha 0, '
    'interaction added to the reward; medians'
  )
  losses = ', '.join(f'{median[0.4, f"loss, {w}"]:.0%} ({w} data)' for w in WEIGHTINGS)
  return [
    Statement(
      'A factorised policy is exact where the soft advantage is additive',
      'Section 4, line 267',
      check,
      f'entanglement 0: KL(exact || solution) {abs(median[0.0, "KL, uniform"]):.0e} '
      f'nats, loss {abs(median[0.0, "loss, uniform"]):.0e}',
    ),
    Statement(
      'It cannot hold dependence between dimensions; total correlation bounds it',
      'Section 4, line 265',
      check,
      f'entanglement 0.4: total correlation {median[0.4, "total correlation"]:.2f} '
      f'nats; KL of the solution {median[0.4, "KL, uniform"]:.2f} with uniform data, '
      f'{median[0.4, "KL, on-policy"]:.2f} with on-policy data. Loss after '
      f'{NUM_UPDATES} updates: {losses}',
    ),
  ]
