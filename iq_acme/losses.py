"""The equations of IQ as free functions of one transition; the caller vmaps.

Time is in the names, as in rlax: `tm1` is the step an action was taken at, `t` the
step after it.
"""

import chex
import jax
import jax.numpy as jnp
import rlax


def implicit_q_value(
  log_prob: chex.Numeric, value: chex.Numeric, temperature: float
) -> chex.Numeric:
  """Returns the Q-value that a policy and a value represent together, Eq. 1.

  Q(s, a) = temperature * log pi(a|s) + V(s), so that pi = softmax(Q / temperature)
  and V = temperature * logsumexp(Q / temperature) hold by construction.

  See "Implicitly Regularized RL with Implicit Q-Values" by Vieillard et al.
  (https://arxiv.org/abs/2108.07041).

  Args:
    log_prob: log pi(a|s), in nats.
    value: V(s), in units of return.
    temperature: the paper's tau.

  Returns:
    Q(s, a), in units of return, with the broadcast shape of its arguments.
  """
  return temperature * log_prob + value


def soft_value(q_values: chex.Array, temperature: float) -> chex.Array:
  """Returns the value of a softmax policy over enumerated actions, Section 2.

  Args:
    q_values: Q(s, .), shape [..., A], over every action.
    temperature: the paper's tau.

  Returns:
    temperature * logsumexp(Q(s, .) / temperature), shape [...].
  """
  return temperature * jax.nn.logsumexp(q_values / temperature, axis=-1)


def iq_td_error(
  v_tm1: chex.Numeric,
  log_prob_tm1: chex.Numeric,
  target_log_prob_tm1: chex.Numeric,
  r_t: chex.Numeric,
  discount_t: chex.Numeric,
  v_t: chex.Numeric,
  *,
  temperature: float,
  munchausen_coefficient: float,
  munchausen_bound: float | None = None,
  advantage_bound: float | None = None,
  disadvantage_bound: float | None = None,
  stop_bootstrap_gradients: bool = True,
) -> chex.Numeric:
  """Returns the error that Eq. 2 squares.

  r + munchausen_coefficient * temperature * log pi_target(a|s) + discount * V(s')
    - temperature * log pi(a|s) - V(s).

  See "Implicitly Regularized RL with Implicit Q-Values" by Vieillard et al.
  (https://arxiv.org/abs/2108.07041).

  Args:
    v_tm1: V(s), of the online network; a float scalar.
    log_prob_tm1: log pi(a|s), of the online network; a float scalar.
    target_log_prob_tm1: log pi(a|s), of the target network; a float scalar, through
      which no gradient flows.
    r_t: the reward for taking a in s; a float scalar.
    discount_t: the discount of s', 0 if the episode terminated; a float scalar.
    v_t: the bootstrap V(s'), of the target network in IQ and of the online network
      in (Trust-)PCL; a float scalar.
    temperature: the paper's tau.
    munchausen_coefficient: the paper's alpha.
    munchausen_bound: the largest absolute value of the Munchausen term, in units of
      reward; None bounds nothing, as in the paper (M-DQN, https://arxiv.org/abs/2007.14430,
      bounds temperature * log pi by 1).
    advantage_bound: the largest absolute value of the implicit advantage temperature *
      log pi(a|s), in Q and in the Munchausen term, in units of reward; None bounds
      nothing, as in the paper. Beyond it no gradient reaches the policy: what a
      transition still lacks, V learns.
    disadvantage_bound: how far below V(s) an action's value is learnt exactly, in units
      of reward; None bounds nothing, as in the paper. Where the action is known to be
      worse than that, and the target asks for worse still, there is no error: neither
      does log pi run away from what the softmax never chooses, nor does V follow.
    stop_bootstrap_gradients: whether v_t is a constant (IQ) or lets its gradient
      flow (the residual PCL and Trust-PCL, Section 5).

  Returns:
    The temporal difference error of the implicit Q-value, a float scalar.
  """
  args = [v_tm1, log_prob_tm1, target_log_prob_tm1, r_t, discount_t, v_t]
  chex.assert_rank(args, 0)
  chex.assert_type(args, float)

  if advantage_bound is not None:
    limit = advantage_bound / temperature
    log_prob_tm1 = jnp.clip(log_prob_tm1, -limit, limit)
    target_log_prob_tm1 = jnp.clip(target_log_prob_tm1, -limit, limit)
  munchausen_term = munchausen_coefficient * temperature * target_log_prob_tm1
  if munchausen_bound is not None:
    munchausen_term = jnp.clip(munchausen_term, -munchausen_bound, munchausen_bound)
  error = rlax.td_learning(
    v_tm1=implicit_q_value(log_prob_tm1, v_tm1, temperature),
    r_t=r_t + jax.lax.stop_gradient(munchausen_term),
    discount_t=discount_t,
    v_t=v_t,
    stop_target_gradients=stop_bootstrap_gradients,
  )
  if disadvantage_bound is None:
    return error
  is_known = temperature * log_prob_tm1 < -disadvantage_bound
  return jnp.where(is_known & (error < 0), 0.0, error)


def iq_loss(td_errors: chex.Array) -> chex.Array:
  """Returns the loss of Eq. 2: the mean of the squared errors.

  Args:
    td_errors: errors of `iq_td_error`, shape [B].

  Returns:
    A scalar.
  """
  return jnp.mean(jnp.square(td_errors))


def policy_control_variate(
  td_errors: chex.Array, log_probs: chex.Array, temperature: float
) -> chex.Array:
  """Takes the mean error out of what Eq. 2 teaches the policy, and nothing from V.

  For actions of pi itself the gradient of log pi(a|s) has mean zero, so that an error
  which all transitions have in common teaches the policy nothing but noise. With this
  term added to `iq_loss`, the gradient through log pi is that of
  mean((error - mean error) * -2 temperature log pi). Not in the paper.

  Args:
    td_errors: errors of `iq_td_error`, shape [B].
    log_probs: log pi(a|s) of the online network, in nats, shape [B].
    temperature: the paper's tau.

  Returns:
    A scalar of value 0, whose gradient is not.
  """
  common = jax.lax.stop_gradient(jnp.mean(td_errors))
  zeros = log_probs - jax.lax.stop_gradient(log_probs)
  return 2 * temperature * common * jnp.mean(zeros)
