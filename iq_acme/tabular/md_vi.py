"""MD-VI(lambda, tau_e): Mirror Descent Value Iteration from its own definition.

    pi_{k+1} = argmax_pi <pi, q_k> + tau_e H(pi) - lambda KL(pi || pi_k)
    V_{k+1}  = <pi_{k+1}, q_k> + tau_e H(pi_{k+1}) - lambda KL(pi_{k+1} || pi_k)
    q_{k+1}  = r + gamma P V_{k+1}

(Geist et al. 2019; Vieillard et al. 2020a, "Leverage the Average".) Theorem 1 says
that IQ-DP(alpha, tau) is MD-VI(alpha tau, (1 - alpha) tau). So that comparing the
two proves something, nothing here is shared with `iq_dp`: the state is a policy in
natural logarithms, the weights are those of the two regularisers, and the value is
the regularised objective itself, not the log-sum-exp it happens to equal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from iq_acme.tabular import mdp as mdp_lib


class MDVIIterate(NamedTuple):
  """State of MD-VI.

  Attributes:
    log_policy: ln of the last greedy policy, `[..., S, A]`, in nats.
    value: Its regularised value, `[..., S]`.
  """

  log_policy: np.ndarray
  value: np.ndarray


def initial_iterate(mdp: mdp_lib.FiniteMDP) -> MDVIIterate:
  """Returns the start: uniform policy, zero value."""
  uniform = np.full_like(mdp.reward, 1.0 / mdp.num_actions)
  return MDVIIterate(np.log(uniform), np.zeros(mdp.reward.shape[:-1]))


def greedy_log_policy(
  q: np.ndarray,
  previous_log_policy: np.ndarray,
  kl_weight: float,
  entropy_weight: float,
) -> np.ndarray:
  """Maximises <pi, q> + tau_e H(pi) - lambda KL(pi || previous) in closed form.

  Setting the derivative along the simplex to zero, q - (lambda + tau_e) ln pi +
  lambda ln previous must not depend on the action, so pi is proportional to
  exp(q / (lambda + tau_e)) previous^(lambda / (lambda + tau_e)); the objective is
  strictly concave, so this is the only maximiser.

  Args:
    q: `[..., A]`.
    previous_log_policy: ln of the previous policy, `[..., A]`.
    kl_weight: lambda >= 0.
    entropy_weight: tau_e >= 0; the two weights must not both be 0.

  Returns:
    Logarithms of the maximiser, `[..., A]`.

  Raises:
    ValueError: A weight is negative, or both are 0.
  """
  _check_weights(kl_weight, entropy_weight)
  total = kl_weight + entropy_weight
  logits = (q + kl_weight * previous_log_policy) / total
  logits = logits - logits.max(axis=-1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def regularised_value(
  q: np.ndarray,
  log_policy: np.ndarray,
  previous_log_policy: np.ndarray,
  kl_weight: float,
  entropy_weight: float,
) -> np.ndarray:
  """Evaluates <pi, q> + tau_e H(pi) - lambda KL(pi || previous), term by term.

  Args:
    q: `[..., A]`.
    log_policy: ln pi, `[..., A]`.
    previous_log_policy: ln of the previous policy, `[..., A]`.
    kl_weight: lambda >= 0.
    entropy_weight: tau_e >= 0.

  Returns:
    `[...]`.
  """
  policy = np.exp(log_policy)
  entropy = -(policy * log_policy).sum(axis=-1)
  kl = (policy * (log_policy - previous_log_policy)).sum(axis=-1)
  return (policy * q).sum(axis=-1) + entropy_weight * entropy - kl_weight * kl


def md_vi_step(
  mdp: mdp_lib.FiniteMDP,
  iterate: MDVIIterate,
  kl_weight: float,
  entropy_weight: float,
  error: np.ndarray | float = 0.0,
) -> MDVIIterate:
  """Takes one greedy and one evaluation step of MD-VI(lambda, tau_e).

  Args:
    mdp: MDPs of batch shape `[...]`.
    iterate: Previous policy and value.
    kl_weight: lambda >= 0; alpha tau for IQ-DP(alpha, tau).
    entropy_weight: tau_e >= 0; (1 - alpha) tau for IQ-DP(alpha, tau).
    error: Error of the Q-value the step is greedy for, `[..., S, A]` or 0.

  Returns:
    The next policy and value.

  Raises:
    ValueError: A weight is negative, or both are 0.
  """
  q = (
    mdp.reward
    + error
    + mdp.discount
    * np.matmul(mdp.transition, iterate.value[..., None, :, None]).squeeze(-1)
  )
  log_policy = greedy_log_policy(q, iterate.log_policy, kl_weight, entropy_weight)
  value = regularised_value(
    q, log_policy, iterate.log_policy, kl_weight, entropy_weight
  )
  return MDVIIterate(log_policy, value)


def _check_weights(kl_weight: float, entropy_weight: float) -> None:
  for name, weight in (('kl_weight', kl_weight), ('entropy_weight', entropy_weight)):
    if not 0.0 <= weight < np.inf:
      raise ValueError(f'{name} is {weight}; it must be finite and >= 0')
  if kl_weight + entropy_weight == 0.0:
    raise ValueError('kl_weight and entropy_weight are both 0; one must be positive')
