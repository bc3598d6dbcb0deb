"""The paper's policy: one softmax over n values per action dimension, Section 4.

Shapes: B batch, D action dimensions, n values per dimension.
"""

import math
from typing import Any

import distrax
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from iq_acme.config import IQConfig
from iq_acme.policies import base, temperature


def action_values(
  minimum: np.ndarray, maximum: np.ndarray, num_values: int
) -> np.ndarray:
  """Returns the n values of each action dimension, evenly spaced, end points included.

  Value j of dimension i is minimum_i + j (maximum_i - minimum_i) / (n - 1).

  Args:
    minimum: lower bounds, shape [D], in the environment's units.
    maximum: upper bounds, shape [D].
    num_values: n, at least 2.

  Returns:
    A float32 array [D, n].
  """
  minimum = np.asarray(minimum, np.float64)
  maximum = np.asarray(maximum, np.float64)
  return np.linspace(minimum, maximum, num_values, axis=-1).astype(np.float32)


def action_to_index(
  action: jax.Array, minimum: jax.Array, maximum: jax.Array, num_values: int
) -> jax.Array:
  """Returns the index of the value nearest to an action, per dimension.

  Args:
    action: actions in the environment's units, shape [..., D].
    minimum: lower bounds, shape [D].
    maximum: upper bounds, shape [D].
    num_values: n.

  Returns:
    int32 indices in [0, n), shape [..., D]. An action outside the bounds maps to the
    end point it is beyond.
  """
  position = (action - minimum) / (maximum - minimum) * (num_values - 1)
  return jnp.clip(jnp.round(position), 0, num_values - 1).astype(jnp.int32)


def make_multicategorical_policy(
  environment_spec: Any, config: IQConfig
) -> base.Policy:
  """Makes the product of one softmax per dimension over a shared torso, Section 4.

  pi(a|s) = prod_j softmax(F^j(s))(a^j). The logits F are used as they are, or divided
  by the temperature if the configuration says so (Section 3.3).

  Args:
    environment_spec: the environment's specs, with an action vector [D].
    config: the number of values n, the network's size, the scaling of the logits, the
      entropy that the temperature adapts to.

  Returns:
    A policy whose `log_prob` maps each action to its nearest value: exact for actions
    the policy took, sensible for foreign ones, such as demonstrations.

  Raises:
    ValueError: if the entropy that the temperature adapts to is beyond uniform.
  """
  minimum, maximum = base.action_bounds(environment_spec.actions)
  num_dimensions, num_values = len(minimum), config.num_action_values
  temperature.check_target_entropy(config, math.log(num_values))
  values = action_values(minimum, maximum, num_values)

  @hk.without_apply_rng
  @hk.transform
  def network(observation: base.Observation) -> jax.Array:
    logits = base.mlp(observation, config, num_dimensions * num_values)
    return temperature.logit_scale(config) * logits.reshape(
      -1, num_dimensions, num_values
    )

  def distribution(
    params: base.Params, observation: base.Observation
  ) -> distrax.Distribution:
    logits = network.apply(params, observation)  # [B, D, n]
    return distrax.Independent(distrax.Categorical(logits=logits))

  def to_action(index: jax.Array) -> jax.Array:
    return jnp.asarray(values)[jnp.arange(num_dimensions), index]  # [B, D]

  def log_prob(
    params: base.Params, observation: base.Observation, action: jax.Array
  ) -> jax.Array:
    index = action_to_index(action, minimum, maximum, num_values)
    return distribution(params, observation).log_prob(index)

  def sample(
    params: base.Params, key: jax.Array, observation: base.Observation
  ) -> jax.Array:
    return to_action(distribution(params, observation).sample(seed=key))

  def sample_uniform(key: jax.Array, batch_size: int) -> jax.Array:
    shape = (batch_size, num_dimensions)
    return to_action(jax.random.randint(key, shape, 0, num_values))

  zeros = base.zeros_observation(environment_spec.observations)
  return base.Policy(
    init=lambda key: network.init(key, zeros),
    log_prob=log_prob,
    sample=sample,
    mode=lambda params, obs: to_action(distribution(params, obs).mode()),
    entropy=lambda params, obs, action: distribution(params, obs).entropy(),
    sample_uniform=sample_uniform,
  )
