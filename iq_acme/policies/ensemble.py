"""The policy of several Q-functions' mean, and a value that none of them can inflate.

Shapes: B batch, D action dimensions, n values per dimension, E networks.

Of independent networks that each take the best of its own values, the smallest is still
too large: each has chosen by its own errors. Here one policy chooses, pi = softmax of the
mean Q over the temperature, and each network says what that is worth to it, as the two
critics of TD3 and SAC do (https://arxiv.org/abs/1802.09477). Not in the paper.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from iq_acme.config import IQConfig
from iq_acme.policies import base, multicategorical


def make_ensemble_policy(environment_spec: Any, config: IQConfig) -> base.Policy:
  """Makes the multicategorical policy of `config.num_q_networks` networks' mean Q.

  Its parameters are a tuple, one element for each network, of which `member` is the
  policy. Its `soft_value` is the smallest of the networks' values under this policy,

      min_i temperature (sum_a pi(a|s) Q_i(s, a) / temperature + H(pi)),

  each of which is network i's own soft value less temperature KL(pi || pi_i). So Eq. 1
  holds for each network with its own policy and soft value, and pi acts.

  Args:
    environment_spec: the environment's specs, with actions of floats [D] or integers.
    config: what each network is, and how many there are.
  """
  member = multicategorical.make_multicategorical_policy(environment_spec, config)
  grid, network = multicategorical.make_grid_and_network(environment_spec, config)

  def all_logits(params: base.Params, observation: base.Observation) -> jax.Array:
    return jnp.stack([network.apply(p, observation) for p in params])  # [E, B, D, n]

  def soft_value(params: base.Params, observation: base.Observation) -> jax.Array:
    logits = all_logits(params, observation)
    log_policy = jax.nn.log_softmax(logits.mean(0))  # [B, D, n]
    values = jnp.exp(log_policy) * (logits - log_policy)  # Q_i / tau - log pi
    return config.temperature * values.sum((-2, -1)).min(0)  # [B]

  policy = multicategorical.from_logits(
    grid,
    lambda key: tuple(map(member.init, jax.random.split(key, config.num_q_networks))),
    lambda params, observation: all_logits(params, observation).mean(0),
    soft_value,
  )
  return dataclasses.replace(policy, member=member)
