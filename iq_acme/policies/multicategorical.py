"""The paper's policy: one softmax over n values per action dimension, Section 4.

Shapes: B batch, D action dimensions, n values per dimension.
"""

from collections.abc import Callable
from typing import Any

import distrax
import haiku as hk
import jax
import numpy as np

from iq_acme.config import IQConfig
from iq_acme.policies import base, temperature
from iq_acme.policies.grid import Grid


def make_multicategorical_policy(
  environment_spec: Any, config: IQConfig
) -> base.Policy:
  """Makes the product of one softmax per dimension over a shared torso, Section 4.

  pi(a|s) = prod_j softmax(F^j(s))(a^j). The logits F are used as they are, or divided
  by the temperature if the configuration says so (Section 3.3). Its `soft_value` is
  V(s) = temperature sum_j logsumexp(logits^j(s)), Section 2's for each dimension.

  Args:
    environment_spec: the environment's specs, with actions of floats [D] or integers.
    config: the number of values n of floats, the network's size, the scaling of the
      logits, the entropy that the temperature adapts to.

  Returns:
    A policy whose `log_prob` maps each action to its nearest value: exact for actions
    the policy took, sensible for foreign ones, such as demonstrations.

  Raises:
    ValueError: if the entropy that the temperature adapts to is beyond uniform.
  """
  grid, network = make_grid_and_network(environment_spec, config)
  zeros = base.zeros_observation(environment_spec.observations)

  def soft_value(params: base.Params, observation: base.Observation) -> jax.Array:
    log_normalizers = jax.nn.logsumexp(network.apply(params, observation), axis=-1)
    return temperature.current(config, params) * log_normalizers.sum(-1)  # [B]

  return from_logits(
    grid, lambda key: network.init(key, zeros), network.apply, soft_value
  )


def make_grid_and_network(
  environment_spec: Any, config: IQConfig
) -> tuple[Grid, hk.Transformed]:
  """Returns the values of each dimension, and a network of their logits [B, D, n].

  Args:
    environment_spec: as for `make_multicategorical_policy`.
    config: likewise.

  Raises:
    ValueError: if the entropy that the temperature adapts to is beyond uniform.
  """
  grid = Grid(environment_spec.actions, config)
  temperature.check_target_entropy(config, float(np.log(grid.num_values).mean()))

  @hk.without_apply_rng
  @hk.transform
  def network(observation: base.Observation) -> jax.Array:
    outputs = base.mlp(observation, config, grid.exists.size)
    return temperature.logit_scale(config) * grid.to_logits(outputs)

  return grid, network


def from_logits(
  grid: Grid,
  init: Callable[[jax.Array], base.Params],
  logits: Callable[[base.Params, base.Observation], jax.Array],
  soft_value: Callable[[base.Params, base.Observation], jax.Array],
) -> base.Policy:
  """Makes the product of the softmaxes of logits [B, D, n].

  Args:
    grid: the values that the logits are of.
    init: key -> parameters.
    logits: (parameters, observation [B, ...]) -> [B, D, n].
    soft_value: as in `base.Policy`.
  """

  def distribution(
    params: base.Params, observation: base.Observation
  ) -> distrax.Distribution:
    return distrax.Independent(distrax.Categorical(logits=logits(params, observation)))

  def log_prob(
    params: base.Params, observation: base.Observation, action: jax.Array
  ) -> jax.Array:
    index = grid.to_index(action)
    return distribution(params, observation).log_prob(index)

  def sample(
    params: base.Params, key: jax.Array, observation: base.Observation
  ) -> jax.Array:
    return grid.to_action(distribution(params, observation).sample(seed=key))

  return base.Policy(
    init=init,
    log_prob=log_prob,
    sample=sample,
    mode=lambda params, obs: grid.to_action(distribution(params, obs).mode()),
    entropy=lambda params, obs, action: distribution(params, obs).entropy(),
    sample_uniform=grid.sample_uniform,
    soft_value=soft_value,
  )
