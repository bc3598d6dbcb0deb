"""IQ-DP(alpha, tau): the paper's Eq. 3, solved exactly at each step.

    tau ln pi_{k+2} + V_{k+1} = r + alpha tau ln pi_{k+1} + gamma P V_k [+ epsilon_k]

The right side is a function X of (s, a). Since pi_{k+2} sums to one in each state,
taking exp(. / tau) and summing over actions leaves V_{k+1} = tau ln sum exp(X / tau)
and then tau ln pi_{k+2} = X - V_{k+1}. No minimisation is left.

Iterates hold tau ln pi (the soft advantage of Section 3.3, in the unit of rewards)
and never ln pi: the former stays bounded as the temperature goes to 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from iq_acme.tabular import mdp as mdp_lib


class IQIterate(NamedTuple):
  """What one iteration of IQ-DP starts from: the target networks' counterpart.

  Attributes:
    soft_advantage: tau ln pi_{k+1}, `[..., S, A]`, in the unit of rewards.
    value: V_k, `[..., S]`.
  """

  soft_advantage: np.ndarray
  value: np.ndarray


def initial_iterate(mdp: mdp_lib.FiniteMDP, temperature: float) -> IQIterate:
  """Returns the start (pi_1, V_0): the uniform policy and the zero value.

  Args:
    mdp: MDPs of batch shape `[...]`.
    temperature: tau > 0.

  Returns:
    The iterate of k = 0.
  """
  check_coefficients(0.0, temperature)
  uniform = -temperature * np.log(mdp.num_actions)
  return IQIterate(np.full_like(mdp.reward, uniform), np.zeros(mdp.reward.shape[:-1]))


def iq_dp_step(
  mdp: mdp_lib.FiniteMDP,
  iterate: IQIterate,
  munchausen_coefficient: float,
  temperature: float,
  error: np.ndarray | float = 0.0,
) -> IQIterate:
  """Solves Eq. 3 once, from (pi_{k+1}, V_k) to (pi_{k+2}, V_{k+1}).

  Args:
    mdp: MDPs of batch shape `[...]`.
    iterate: (tau ln pi_{k+1}, V_k).
    munchausen_coefficient: alpha, in [0, 1].
    temperature: tau > 0, in the unit of rewards.
    error: epsilon_k of Theorem 2, added to the right side; `[..., S, A]` or 0.

  Returns:
    (tau ln pi_{k+2}, V_{k+1}).

  Raises:
    ValueError: alpha is outside [0, 1], or the temperature is not positive.
  """
  check_coefficients(munchausen_coefficient, temperature)
  target = (
    mdp_lib.bootstrap(mdp, iterate.value)
    + munchausen_coefficient * iterate.soft_advantage
    + error
  )
  value = mdp_lib.log_sum_exp(target, temperature)
  return IQIterate(target - value[..., None], value)


def run_iq_dp(
  mdp: mdp_lib.FiniteMDP,
  munchausen_coefficient: float,
  temperature: float,
  errors: Iterable[np.ndarray | float],
) -> Iterator[IQIterate]:
  """Runs IQ-DP(alpha, tau) with the given errors, one iteration for each.

  Args:
    mdp: MDPs of batch shape `[...]`.
    munchausen_coefficient: alpha, in [0, 1].
    temperature: tau > 0, in the unit of rewards.
    errors: epsilon_0, epsilon_1, ..., each `[..., S, A]` or a number. K exact
      iterations are `itertools.repeat(0.0, K)`.

  Yields:
    (tau ln pi_{k+2}, V_{k+1}) for k = 0, 1, ...

  Raises:
    ValueError: alpha is outside [0, 1], or the temperature is not positive.
  """
  iterate = initial_iterate(mdp, temperature)
  for error in errors:
    iterate = iq_dp_step(mdp, iterate, munchausen_coefficient, temperature, error)
    yield iterate


def iterate_policy(iterate: IQIterate, temperature: float) -> np.ndarray:
  """Probabilities of an iterate's policy, `[..., S, A]`.

  The softmax normalises again: tau ln pi carries rounding of the size of V, which
  exp(. / tau) would blow up at small temperatures.
  """
  return mdp_lib.softmax(iterate.soft_advantage, temperature)


def advantage_learning_step(
  mdp: mdp_lib.FiniteMDP, q: np.ndarray, munchausen_coefficient: float
) -> np.ndarray:
  """Runs Advantage Learning, the limit of IQ-DP as tau goes to 0 (line 153).

  Q' = r + alpha (Q - max Q) + gamma P max Q. With alpha = 0 it is value iteration.

  Args:
    mdp: MDPs of batch shape `[...]`.
    q: Q, `[..., S, A]`; the counterpart of tau ln pi_{k+1} + V_k.
    munchausen_coefficient: alpha.

  Returns:
    Q', `[..., S, A]`; the counterpart of tau ln pi_{k+2} + V_{k+1}.
  """
  largest = q.max(axis=-1)
  advantage = q - largest[..., None]
  return mdp_lib.bootstrap(mdp, largest) + munchausen_coefficient * advantage


def check_coefficients(munchausen_coefficient: float, temperature: float) -> None:
  """Raises ValueError unless alpha is in [0, 1] and tau is positive and finite."""
  if not 0.0 <= munchausen_coefficient <= 1.0:
    raise ValueError(
      f'munchausen_coefficient is {munchausen_coefficient}; it must be in [0, 1]'
    )
  if not 0.0 < temperature < np.inf:
    raise ValueError(f'temperature is {temperature}; it must be positive and finite')
