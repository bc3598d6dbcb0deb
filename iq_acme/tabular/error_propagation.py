"""Theorem 2: how the errors of approximate IQ-DP reach the policy.

Notation, with eta = (1 - alpha) tau and update k = 0, 1, ... adding epsilon_k:

    q_k      = r + gamma P V_k + epsilon_k
    pi_{k+2} = the policy after update k, the first that epsilon_k acts on
    E_k      = (1 - alpha) sum_{j<=k} alpha^(k-j) epsilon_j          (line 172)

*alpha < 1.* Unrolling the greedy step gives pi_{k+2} = softmax(h_k / eta) with
h_k = (1 - alpha) sum_{j<=k} alpha^(k-j) q_j, so h is what the policy is greedy for.
With W(h) = eta ln sum exp(h / eta), Eq. 3 becomes (1 - alpha) V_{k+1} = W(h_k) -
alpha W(h_{k-1}), where h_{-1} = 0. These values telescope in h_k, which leaves

    h_k = T h_{k-1} + E_k + delta_k,   T the eta-regularised optimality operator,
    delta_k = -alpha^k (alpha r + gamma eta ln A),                    (recursion A)

exact, and a contraction. Hence ||h_k - Q_*|| <= sum_{j<=k} gamma^(k-j) ||E_j +
delta_j|| + gamma^(k+1) ||Q_*||, and, since pi_{k+2} is greedy for h_k,
||Q_* - Q_{pi_{k+2}}|| <= 2 gamma / (1 - gamma) times that: Theorem 2's sum, with
the remainder written out. It decays geometrically, which is more than o(1/k).

*alpha = 1.* Now pi_{k+2} = softmax(sum_{j<=k} q_j / tau), h_k is the plain average
of q_0 .. q_k, and with Y_k = tau ln sum exp((k+1) h_k / tau), V_{k+1} = Y_k -
Y_{k-1}. With pi = pi_{k+2} and Ebar_k the average of epsilon_0 .. epsilon_k, this is

    h_k = T_pi h_k + Ebar_k + gamma P (tau H(pi) - tau ln A - V_{k+1}) / (k+1)
                                                                      (recursion B)

with the plain T_pi. Since Y_k >= (k+1) <pi_*, h_k>, the same holds for pi_* with >=
in place of = and 0 in place of H. Subtracting the two, with ||V|| <= v_max,

    ||Q_* - Q_{pi_{k+2}}|| <= 2 / (1-gamma) ||Ebar_k||
                              + gamma (2 v_max + tau ln A) / ((1-gamma) (k+1)).

Here V is a log-mean-exp of q under pi_{k+1}, so v_max = (R_max + max |epsilon|) /
(1 - gamma). Sums run from j = 0; the paper's from j = 1 have epsilon_0 = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from iq_acme.tabular import iq_dp as iq_dp_lib
from iq_acme.tabular import mdp as mdp_lib

ERROR_KINDS = ('iid', 'biased', 'adversarial', 'alternating')

# Errors have a random stream of their own: drawn from the same one as the MDPs, one
# seed for both would make some update's errors equal to the rewards.
_ERROR_STREAM = 1


class PropagationTrace(NamedTuple):
  """Both sides of Theorem 2 after each recorded update, in the unit of rewards.

  K recorded updates, MDPs of batch shape `[...]`; all norms are the largest
  absolute entry over states and actions. The bound is `error_term + remainder`.

  Attributes:
    update: k, `[K]`.
    policy_distance: ||Q_* - Q_{pi_{k+2}}||, regularised by eta H, `[K, ...]`.
    average_distance: ||Q_* - h_k||, `[K, ...]`.
    error_term: The theorem's sum (alpha < 1) or average (alpha = 1), `[K, ...]`.
    remainder: The theorem's o(1/k) or O(1/k), as derived above, `[K, ...]`.
  """

  update: np.ndarray
  policy_distance: np.ndarray
  average_distance: np.ndarray
  error_term: np.ndarray
  remainder: np.ndarray


def propagate_errors(
  mdp: mdp_lib.FiniteMDP,
  munchausen_coefficient: float,
  temperature: float,
  errors: Iterable[np.ndarray],
  record: Iterable[int],
) -> PropagationTrace:
  """Runs IQ-DP with errors and measures both sides of Theorem 2.

  Args:
    mdp: MDPs of batch shape `[...]`.
    munchausen_coefficient: alpha, in [0, 1].
    temperature: tau > 0.
    errors: epsilon_0, epsilon_1, ..., each `[..., S, A]`.
    record: Updates k to record (each costs an exact policy evaluation).

  Returns:
    The trace.

  Raises:
    ValueError: alpha is outside [0, 1], or the temperature is not positive.
  """
  iq_dp_lib.check_coefficients(munchausen_coefficient, temperature)
  entropy_weight = (1.0 - munchausen_coefficient) * temperature
  optimum = mdp_lib.optimal_q(mdp, entropy_weight)
  bound = (_KLOnlyBound if munchausen_coefficient == 1.0 else _GeneralBound)(
    mdp, munchausen_coefficient, temperature
  )
  iterate = iq_dp_lib.initial_iterate(mdp, temperature)
  average = np.zeros_like(mdp.reward)
  recorded, rows = set(record), []
  for k, error in enumerate(errors):
    q = mdp_lib.bootstrap(mdp, iterate.value) + error
    average = average + (q - average) * averaging_weight(munchausen_coefficient, k)
    iterate = iq_dp_lib.iq_dp_step(
      mdp, iterate, munchausen_coefficient, temperature, error
    )
    bound.add(error)
    if k in recorded:
      policy = iq_dp_lib.iterate_policy(iterate, temperature)
      policy_value = mdp_lib.policy_q(mdp, policy, entropy_weight)
      rows.append(
        (
          k,
          max_norm(optimum - policy_value),
          max_norm(optimum - average),
          bound.error_term(),
          bound.remainder(),
        )
      )
  return PropagationTrace(*(np.stack(column) for column in zip(*rows)))


def averaging_weight(munchausen_coefficient: float, update: int) -> float:
  """Returns the weight of entry `update` in the running average that h_k and E_k are.

  Args:
    munchausen_coefficient: alpha; below 1 the average is a moving one that starts
      from zero, at 1 it is the mean.
    update: k >= 0.

  Returns:
    1 - alpha, or 1 / (k + 1) at alpha = 1.
  """
  if munchausen_coefficient == 1.0:
    return 1.0 / (update + 1)
  return 1.0 - munchausen_coefficient


def g2_remainder(
  update: int,
  munchausen_coefficient: float,
  discount: float,
  max_value: np.ndarray | float,
) -> np.ndarray | float:
  """Returns the remainder g_2(k) of Vieillard et al. 2020a, Theorem 2, for alpha < 1.

  g_2(k) = (1 + (1-alpha) / (1-gamma)) v_max sum_{j=0..k} gamma^(k-j) alpha^j. The
  derived remainder above is at most 2 gamma / (1 - gamma) times it.

  Args:
    update: k >= 0.
    munchausen_coefficient: alpha, their beta.
    discount: gamma.
    max_value: v_max = (R_max + max |epsilon| + eta ln A) / (1 - gamma).

  Returns:
    g_2(k), in the unit and shape of `max_value`.
  """
  powers = np.arange(update + 1)
  mixed = (discount ** (update - powers) * munchausen_coefficient**powers).sum()
  return (1.0 + (1.0 - munchausen_coefficient) / (1.0 - discount)) * mixed * max_value


def draw_errors(
  mdp: mdp_lib.FiniteMDP, kind: str, scale: float, num_updates: int, seed: int = 0
) -> Iterator[np.ndarray]:
  """Errors for approximate IQ-DP, none larger than `scale`.

  Args:
    mdp: MDPs of batch shape `[...]`.
    kind: 'iid', uniform in [-scale, scale] and fresh at each update; 'biased', a
      fixed part uniform in [-scale/2, scale/2] plus a fresh one; 'adversarial',
      -scale on the optimal actions and +scale on all others; 'alternating', the
      adversarial one with its sign flipped at every update.
    scale: Largest absolute error, in the unit of rewards.
    num_updates: How many to yield.
    seed: Seed of the draw.

  Returns:
    An iterator of `[..., S, A]`.

  Raises:
    ValueError: The kind is unknown.
  """
  if kind not in ERROR_KINDS:
    raise ValueError(f'kind is {kind!r}; it must be one of {", ".join(ERROR_KINDS)}')
  rng = np.random.default_rng([seed, _ERROR_STREAM])
  return _draw_errors(mdp, kind, scale, num_updates, rng)


def max_norm(x: np.ndarray) -> np.ndarray:
  """Returns the largest |entry| of all states and actions, `[..., S, A]` to `[...]`."""
  return np.abs(x).max(axis=(-2, -1))


def _draw_errors(
  mdp: mdp_lib.FiniteMDP,
  kind: str,
  scale: float,
  num_updates: int,
  rng: np.random.Generator,
) -> Iterator[np.ndarray]:
  shape = mdp.reward.shape
  bias = rng.uniform(-scale / 2, scale / 2, size=shape)
  optimum = mdp_lib.optimal_q(mdp)
  against = scale * np.where(optimum < optimum.max(axis=-1, keepdims=True), 1.0, -1.0)
  for k in range(num_updates):
    if kind == 'iid':
      yield rng.uniform(-scale, scale, size=shape)
    elif kind == 'biased':
      yield bias + rng.uniform(-scale / 2, scale / 2, size=shape)
    elif kind == 'adversarial':
      yield against
    else:
      yield against * (-1.0) ** k


class _GeneralBound:
  """Right side of Theorem 2 for alpha < 1, updated one error at a time."""

  def __init__(self, mdp: mdp_lib.FiniteMDP, alpha: float, temperature: float):
    self._gamma, self._alpha = mdp.discount, alpha
    entropy_weight = (1.0 - alpha) * temperature
    spread = entropy_weight * np.log(mdp.num_actions)
    reward = mdp_lib.max_abs_reward(mdp)
    self._first_error = alpha * reward + mdp.discount * spread  # max |delta_0|
    self._remainder = (reward + spread) / (1.0 - mdp.discount)  # max |Q_*|
    self._average = np.zeros_like(mdp.reward)
    self._norms = np.zeros(mdp.batch_shape)
    self._update = 0

  def add(self, error: np.ndarray) -> None:
    self._average = self._alpha * self._average + (1.0 - self._alpha) * error
    self._norms = self._gamma * self._norms + max_norm(self._average)
    forgotten = self._alpha**self._update * self._first_error
    self._remainder = self._gamma * self._remainder + forgotten
    self._update += 1

  def error_term(self) -> np.ndarray:
    return 2.0 / (1.0 - self._gamma) * self._norms

  def remainder(self) -> np.ndarray:
    return 2.0 * self._gamma / (1.0 - self._gamma) * self._remainder


class _KLOnlyBound:
  """Right side of Theorem 2 for alpha = 1, updated one error at a time."""

  def __init__(self, mdp: mdp_lib.FiniteMDP, alpha: float, temperature: float):
    del alpha  # always 1 here
    self._gamma = mdp.discount
    self._spread = temperature * np.log(mdp.num_actions)
    self._reward = mdp_lib.max_abs_reward(mdp)
    self._sum = np.zeros_like(mdp.reward)
    self._largest = np.zeros(mdp.batch_shape)
    self._count = 0

  def add(self, error: np.ndarray) -> None:
    self._sum = self._sum + error
    self._largest = np.maximum(self._largest, max_norm(error))
    self._count += 1

  def error_term(self) -> np.ndarray:
    return 2.0 / (1.0 - self._gamma) * max_norm(self._sum / self._count)

  def remainder(self) -> np.ndarray:
    max_value = (self._reward + self._largest) / (1.0 - self._gamma)
    per_update = self._gamma * (2.0 * max_value + self._spread) / (1.0 - self._gamma)
    return per_update / self._count
