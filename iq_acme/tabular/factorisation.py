"""Section 4: what a product of one-dimensional policies can and cannot hold.

A factorised policy makes Eq. 1 an additive Q: tau ln pi(a|s) + V(s) is a sum of one
function per action dimension, and any such sum can be written so (normalise each
function with its own log-sum-exp and collect the constants in V). Minimising Eq. 2
over a factorised pi and V is therefore a linear least-squares problem: the weighted
projection of its target on additive functions, the weights being how often the data
holds each action. Joint actions are numbered as in C order of `action_shape`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iq_acme.tabular import mdp as mdp_lib


def factored_mdp(
  state_shape: Sequence[int],
  action_shape: Sequence[int],
  *,
  entanglement: float = 0.0,
  discount: float = 0.9,
  seed: int = 0,
) -> mdp_lib.FiniteMDP:
  """Returns a deterministic MDP made of one independent sub-MDP per action dimension.

  Sub-MDP i moves and is rewarded by action dimension i alone, and the rewards add
  up. Values are then sums over the sub-MDPs, so IQ-DP's Q stays additive over the
  action dimensions and a factorised policy is exact. `entanglement` adds to the
  reward a random part with no additive component (in each state its averages over
  any one dimension are 0), of that root mean square, and breaks this.

  Args:
    state_shape: States of each sub-MDP, [S_1, ..., S_D]; S is their product.
    action_shape: Values of each action dimension, [n_1, ..., n_D].
    entanglement: Root mean square of the interaction, in the unit of rewards.
    discount: gamma, in [0, 1).
    seed: Seed of the draw; for one seed all entanglements share everything else.

  Returns:
    One MDP with S = prod(state_shape) and A = prod(action_shape).

  Raises:
    ValueError: The shapes have different lengths, or `entanglement` is not 0 where
      there is one dimension and so nothing to entangle.
  """
  if len(state_shape) != len(action_shape):
    raise ValueError(
      f'state_shape is {tuple(state_shape)}; it needs one entry per action '
      f'dimension, of which action_shape has {len(action_shape)}'
    )
  if entanglement and len(action_shape) < 2:
    raise ValueError(
      f'entanglement is {entanglement}; it must be 0 with one action dimension'
    )
  rng = np.random.default_rng(seed)
  transition, reward = np.ones((1, 1, 1)), np.zeros((1, 1))
  for num_states, num_actions in zip(state_shape, action_shape):
    successor = rng.integers(num_states, size=(num_states, num_actions))
    own_reward = rng.uniform(-1.0, 1.0, size=successor.shape) / len(action_shape)
    transition = np.kron(transition, np.eye(num_states)[successor])
    reward = np.kron(reward, np.ones_like(own_reward)) + np.kron(
      np.ones_like(reward), own_reward
    )
  if entanglement:
    reward = reward + entanglement * _interaction(reward.shape[0], action_shape, rng)
  return mdp_lib.FiniteMDP(transition, reward, discount)


def additive_projection(
  target: np.ndarray, weights: np.ndarray, action_shape: Sequence[int]
) -> np.ndarray:
  """Fits sum_i f_i(a_i) to a function of the joint action, by weighted least squares.

  This is tau ln pi + V at the minimum of Eq. 2 over factorised policies.

  Args:
    target: r + alpha tau ln pi_target + gamma P V_target, `[..., A]`.
    weights: How often each joint action is in the data, `[..., A]` or `[A]`, >= 0.
    action_shape: Values of each action dimension, [n_1, ..., n_D].

  Returns:
    The fit, `[..., A]`; of several minimisers, that of least norm.

  Raises:
    ValueError: `action_shape` does not multiply to A, or a weight is negative.
  """
  _check_action_shape(target, action_shape)
  if not (weights >= 0.0).all():
    raise ValueError(f'weights has an entry {weights.min()}; all must be >= 0')
  features = _one_hot_features(action_shape)  # [A, n_1 + ... + n_D]
  root = np.sqrt(weights)[..., None]
  coefficients = np.linalg.pinv(root * features) @ (root * target[..., None])
  return (features @ coefficients)[..., 0]


def marginals(policy: np.ndarray, action_shape: Sequence[int]) -> list[np.ndarray]:
  """Returns the policy of each dimension: `[..., A]` to D times `[..., n_i]`."""
  _check_action_shape(policy, action_shape)
  joint = policy.reshape(*policy.shape[:-1], *action_shape)
  dims = range(-len(action_shape), 0)
  return [joint.sum(axis=tuple(d for d in dims if d != kept)) for kept in dims]


def total_correlation(policy: np.ndarray, action_shape: Sequence[int]) -> np.ndarray:
  """Returns the sum of the marginals' entropies minus the joint one, in nats (>= 0).

  It is KL(pi || product of its marginals), the least KL(pi || q) any factorised q
  can reach: KL(pi || q) = total correlation + sum_i KL(pi_i || q_i).

  Args:
    policy: `[..., A]`.
    action_shape: Values of each action dimension, [n_1, ..., n_D].

  Returns:
    `[...]`.
  """
  parts = marginals(policy, action_shape)
  return sum(mdp_lib.entropy(part) for part in parts) - mdp_lib.entropy(policy)


def kl_divergence(policy: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Returns KL(policy || other) in nats, `[..., A]` to `[...]`."""
  ratio = np.divide(policy, other, out=np.ones_like(policy), where=policy > 0.0)
  return (policy * np.log(ratio)).sum(axis=-1)


def _interaction(
  num_states: int, action_shape: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
  """Draws rewards without additive part, of root mean square 1, `[S, A]`."""
  noise = rng.normal(size=(num_states, int(np.prod(action_shape))))
  noise -= additive_projection(noise, np.ones_like(noise), action_shape)
  return noise / np.sqrt((noise**2).mean(axis=-1, keepdims=True))


def _one_hot_features(action_shape: Sequence[int]) -> np.ndarray:
  """Indicators of each dimension's value, side by side, `[A, n_1 + ... + n_D]`."""
  values = np.indices(action_shape).reshape(len(action_shape), -1)  # [D, A]
  return np.concatenate([np.eye(n)[v] for n, v in zip(action_shape, values)], axis=-1)


def _check_action_shape(x: np.ndarray, action_shape: Sequence[int]) -> None:
  if int(np.prod(action_shape)) != x.shape[-1]:
    raise ValueError(
      f'action_shape is {tuple(action_shape)}; it must multiply to the '
      f'{x.shape[-1]} joint actions given'
    )
