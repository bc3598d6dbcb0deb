"""The ablation's policy: a tanh-squashed diagonal Gaussian, Section 6.

It makes the implicit advantage a quadratic of the unsquashed action, which Section 4
argues is too little: it is here to show that.

Shapes: B batch, D action dimensions.
"""

from typing import Any

import distrax
import haiku as hk
import jax
import jax.numpy as jnp

from iq_acme.config import IQConfig
from iq_acme.policies import base

# The smallest standard deviation before squashing (Acme's SAC has the same).
MIN_SCALE = 1e-3
# Actions are kept this far from the ends of [-1, 1] before atanh, which is infinite
# there: exact for every action whose unsquashed value is within 7.2 of 0.
BOUNDARY_MARGIN = 1e-6


def make_gaussian_policy(environment_spec: Any, config: IQConfig) -> base.Policy:
  """Returns a diagonal Gaussian squashed by tanh onto the action's bounds.

  Args:
    environment_spec: the environment's specs, with an action vector [D] of floats.
    config: the network's size.

  Returns:
    A policy whose `log_prob` is the log-density on the canonical [-1, 1]^D, whichever
    units the environment has; whose `mode` is the squashed mean; and whose `entropy`
    is that of the Gaussian before squashing (the squashed one has no closed form).
  """
  minimum, maximum = base.action_bounds(environment_spec.actions)
  num_dimensions = len(minimum)

  @hk.without_apply_rng
  @hk.transform
  def network(observation: base.Observation) -> tuple[jax.Array, jax.Array]:
    output = base.mlp(observation, config, 2 * num_dimensions)
    mean, scale = jnp.split(output, 2, axis=-1)
    return mean, jax.nn.softplus(scale) + MIN_SCALE

  def normal(
    params: base.Params, observation: base.Observation
  ) -> distrax.MultivariateNormalDiag:
    return distrax.MultivariateNormalDiag(*network.apply(params, observation))

  def to_action(unsquashed: jax.Array) -> jax.Array:
    action = minimum + (jnp.tanh(unsquashed) + 1) / 2 * (maximum - minimum)
    return jnp.clip(action, minimum, maximum)  # Rounding can pass a bound.

  def log_prob(
    params: base.Params, observation: base.Observation, action: jax.Array
  ) -> jax.Array:
    canonical = 2 * (action - minimum) / (maximum - minimum) - 1
    limit = 1 - BOUNDARY_MARGIN
    squash = distrax.Block(distrax.Tanh(), ndims=1)
    squashed = distrax.Transformed(normal(params, observation), squash)
    return squashed.log_prob(jnp.clip(canonical, -limit, limit))

  def sample(
    params: base.Params, key: jax.Array, observation: base.Observation
  ) -> jax.Array:
    return to_action(normal(params, observation).sample(seed=key))

  def sample_uniform(key: jax.Array, batch_size: int) -> jax.Array:
    shape = (batch_size, num_dimensions)
    return jax.random.uniform(key, shape, minval=minimum, maxval=maximum)

  zeros = base.zeros_observation(environment_spec.observations)
  return base.Policy(
    init=lambda key: network.init(key, zeros),
    log_prob=log_prob,
    sample=sample,
    mode=lambda params, obs: to_action(normal(params, obs).mode()),
    entropy=lambda params, obs, action: normal(params, obs).entropy(),
    sample_uniform=sample_uniform,
    entropy_name='base_normal_entropy',
  )
