"""Finite MDPs, their Bellman operators, and their optima to float64 precision.

Shape legend: `...` are leading dimensions over MDPs (possibly none), S states,
A actions. Policies are probabilities `[..., S, A]`, values `[..., S]`, Q-values
`[..., S, A]`. Rewards and values share one unit, and so does every temperature.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# Rounding allowed in a row that should sum to one; a real mistake is far larger.
_ROW_SUM_TOLERANCE = 1e-9
_MAX_POLICY_ITERATIONS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class FiniteMDP:
  """A finite MDP, or several of one size stacked along leading dimensions.

  Attributes:
    transition: `[..., S, A, S]`, `transition[..., s, a, t] = P(t|s, a)`.
    reward: `[..., S, A]`, the expected reward r(s, a).
    discount: gamma, in [0, 1).

  Raises:
    ValueError: A row of `transition` is not a distribution, shapes do not fit,
      a reward is not finite, or the discount is outside [0, 1).
  """

  transition: np.ndarray
  reward: np.ndarray
  discount: float

  def __post_init__(self):
    object.__setattr__(self, 'transition', np.asarray(self.transition, np.float64))
    object.__setattr__(self, 'reward', np.asarray(self.reward, np.float64))
    _check_mdp(self)

  @property
  def num_states(self) -> int:
    return self.reward.shape[-2]

  @property
  def num_actions(self) -> int:
    return self.reward.shape[-1]

  @property
  def batch_shape(self) -> tuple[int, ...]:
    """Shape of the leading dimensions over MDPs, `()` for a single one."""
    return self.reward.shape[:-2]


def garnet(
  num_states: int,
  num_actions: int,
  branching: int,
  discount: float = 0.9,
  *,
  num_mdps: int = 1,
  seed: int = 0,
) -> FiniteMDP:
  """Draws Garnet MDPs: random sparse transitions, rewards uniform in [-1, 1].

  From each (s, a), `branching` distinct states can follow; their probabilities
  are the gaps between sorted uniform cut points of [0, 1].

  Args:
    num_states: S.
    num_actions: A.
    branching: Number of states that can follow each (s, a), at most S.
    discount: gamma, in [0, 1).
    num_mdps: M, the number of MDPs to stack.
    seed: Seed of the draw; one seed gives one set of MDPs.

  Returns:
    MDPs of batch shape `[M]`.

  Raises:
    ValueError: A count is below one, or `branching` exceeds `num_states`.
  """
  for name, count in (
    ('num_states', num_states),
    ('num_actions', num_actions),
    ('num_mdps', num_mdps),
  ):
    if count < 1:
      raise ValueError(f'{name} is {count}; it must be at least 1')
  if not 1 <= branching <= num_states:
    raise ValueError(
      f'branching is {branching}; it must be between 1 and num_states ({num_states})'
    )
  rng = np.random.default_rng(seed)
  rows = (num_mdps, num_states, num_actions)
  cuts = np.sort(rng.uniform(size=(*rows, branching - 1)), axis=-1)
  edges = np.concatenate([np.zeros((*rows, 1)), cuts, np.ones((*rows, 1))], axis=-1)
  successors = rng.random((*rows, num_states)).argsort(axis=-1)[..., :branching]
  transition = np.zeros((*rows, num_states))
  np.put_along_axis(transition, successors, np.diff(edges, axis=-1), axis=-1)
  reward = rng.uniform(-1.0, 1.0, size=rows)
  return FiniteMDP(transition, reward, discount)


def two_state_mdp() -> FiniteMDP:
  """Returns a deterministic MDP small enough to work out by hand.

  State 0: action 0 stays, action 1 goes to state 1, both with reward 0.
  State 1: both actions stay, with rewards 0 and ln 3. The discount is 1/2, so at
  temperature 1 every exponential of a value is a power of 2 and 3.
  """
  transition = np.zeros((2, 2, 2))
  transition[0, 0, 0] = transition[0, 1, 1] = 1.0
  transition[1, :, 1] = 1.0
  return FiniteMDP(transition, np.array([[0.0, 0.0], [0.0, np.log(3.0)]]), 0.5)


def log_sum_exp(q: np.ndarray, temperature: float) -> np.ndarray:
  """Returns the soft maximum over actions, tau ln sum_a exp(q / tau) (line 100).

  The largest q is taken out first, so that every exponent is at most 0 and the
  result is finite at any temperature; temperature 0 gives the maximum.

  Args:
    q: `[..., A]`.
    temperature: tau >= 0, in the unit of q.

  Returns:
    `[...]`.
  """
  largest = q.max(axis=-1)
  if temperature == 0.0:
    return largest
  return largest + temperature * np.log(
    np.exp((q - largest[..., None]) / temperature).sum(axis=-1)
  )


def softmax(q: np.ndarray, temperature: float) -> np.ndarray:
  """Returns exp(q / tau) / sum exp(q / tau), Boltzmann; the first argmax at tau = 0.

  Args:
    q: `[..., A]`.
    temperature: tau >= 0, in the unit of q.

  Returns:
    Probabilities `[..., A]`.
  """
  if temperature == 0.0:
    return np.eye(q.shape[-1])[q.argmax(axis=-1)]
  weights = np.exp((q - q.max(axis=-1, keepdims=True)) / temperature)
  return weights / weights.sum(axis=-1, keepdims=True)


def entropy(policy: np.ndarray) -> np.ndarray:
  """Returns H(pi) = -<pi, ln pi> in nats, `[..., A]` to `[...]`; 0 ln 0 is 0."""
  logs = np.log(policy, out=np.zeros_like(policy), where=policy > 0.0)
  return -(policy * logs).sum(axis=-1)


def bootstrap(mdp: FiniteMDP, value: np.ndarray) -> np.ndarray:
  """Backs a value up, r + gamma P V: `[..., S]` to `[..., S, A]`."""
  return (
    mdp.reward + mdp.discount * (mdp.transition @ value[..., None, :, None])[..., 0]
  )


def bellman(
  mdp: FiniteMDP, policy: np.ndarray, q: np.ndarray, temperature: float = 0.0
) -> np.ndarray:
  """Applies the regularised T_pi Q = r + gamma P <pi, Q - tau ln pi> (line 126).

  Args:
    mdp: MDPs of batch shape `[...]`.
    policy: pi, `[..., S, A]`.
    q: Q, `[..., S, A]`.
    temperature: tau of the entropy, >= 0.

  Returns:
    `[..., S, A]`.
  """
  return bootstrap(mdp, (policy * q).sum(axis=-1) + temperature * entropy(policy))


def optimality_bellman(
  mdp: FiniteMDP, q: np.ndarray, temperature: float = 0.0
) -> np.ndarray:
  """Applies the regularised optimality operator, max over pi of T_pi Q."""
  return bootstrap(mdp, log_sum_exp(q, temperature))


def policy_q(
  mdp: FiniteMDP, policy: np.ndarray, temperature: float = 0.0
) -> np.ndarray:
  """Solves for the exact Q-value of a policy in the entropy-regularised MDP.

  Solves (I - gamma P_pi) V = <pi, r> + tau H(pi), then Q = r + gamma P V; the
  entropy of the first action is not part of Q (Section 3, line 126).

  Args:
    mdp: MDPs of batch shape `[...]`.
    policy: pi, `[..., S, A]`.
    temperature: tau of the entropy, >= 0; 0 gives the plain Q-value.

  Returns:
    Q_pi, `[..., S, A]`.

  Raises:
    ValueError: A row of `policy` is not a distribution.
  """
  check_distribution('policy', policy)
  state_transition = (policy[..., None, :] @ mdp.transition)[..., 0, :]  # [..., S, S]
  state_reward = (policy * mdp.reward).sum(axis=-1) + temperature * entropy(policy)
  system = np.eye(mdp.num_states) - mdp.discount * state_transition
  return bootstrap(mdp, np.linalg.solve(system, state_reward[..., None])[..., 0])


def optimal_q(mdp: FiniteMDP, temperature: float = 0.0) -> np.ndarray:
  """Returns the optimal Q-value, regularised by tau H if tau > 0, in float64 precision.

  (Soft) policy iteration: evaluate exactly, act (softly) greedily. It is Newton's
  method on Q = T Q, so it ends after few iterations; the stop is a change within
  rounding, and a contraction step on top removes what the linear solve left.

  Args:
    mdp: MDPs of batch shape `[...]`.
    temperature: tau >= 0.

  Returns:
    Q_*, `[..., S, A]`.

  Raises:
    ValueError: The temperature is negative or not finite.
    RuntimeError: No convergence, which would be a defect of this function.
  """
  if not 0.0 <= temperature < np.inf:
    raise ValueError(f'temperature is {temperature}; it must be finite and >= 0')
  scale = max_abs_reward(mdp).max() + temperature * np.log(mdp.num_actions)
  tolerance = 16 * np.finfo(np.float64).eps * scale / (1.0 - mdp.discount) ** 2
  q = np.zeros_like(mdp.reward)
  for _ in range(_MAX_POLICY_ITERATIONS):
    improved = policy_q(mdp, softmax(q, temperature), temperature)
    change = np.abs(improved - q).max()
    q = improved
    if change <= tolerance:
      return optimality_bellman(mdp, q, temperature)
  raise RuntimeError(
    f'policy iteration still changes by {change} (temperature {temperature})'
  )


def max_abs_reward(mdp: FiniteMDP) -> np.ndarray:
  """Returns R_max, the largest |r(s, a)| of each MDP, `[...]`."""
  return np.abs(mdp.reward).max(axis=(-2, -1))


def check_distribution(name: str, probabilities: np.ndarray) -> None:
  """Raises ValueError unless the last axis holds probabilities that sum to 1."""
  if not (probabilities >= 0.0).all():
    raise ValueError(
      f'{name} has an entry {probabilities.min()}; probabilities must be >= 0'
    )
  sums = probabilities.sum(axis=-1)
  worst = float(sums.flat[np.abs(sums - 1.0).argmax()])
  if not abs(worst - 1.0) <= _ROW_SUM_TOLERANCE:
    raise ValueError(f'{name} has a row that sums to {worst}; every row must sum to 1')


def _check_mdp(mdp: FiniteMDP) -> None:
  if mdp.reward.ndim < 2 or 0 in mdp.reward.shape:
    raise ValueError(
      f'reward has shape {mdp.reward.shape}; it must be [..., S, A] with S, A >= 1'
    )
  expected = (*mdp.reward.shape, mdp.num_states)
  if mdp.transition.shape != expected:
    raise ValueError(
      f'transition has shape {mdp.transition.shape}; with a reward of shape '
      f'{mdp.reward.shape} it must be {expected}'
    )
  check_distribution('transition', mdp.transition)
  if not np.isfinite(mdp.reward).all():
    raise ValueError('reward has an entry that is not finite; all must be')
  if not 0.0 <= mdp.discount < 1.0:
    raise ValueError(f'discount is {mdp.discount}; it must be in [0, 1)')
