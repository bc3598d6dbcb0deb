"""A policy with dependence between dimensions: one softmax each, given those before it.

Section 4 names such policies and leaves them for later.

Shapes: B batch, D action dimensions, n values per dimension, W `HEAD_WIDTH`.
"""

import dataclasses
from typing import Any, NamedTuple

import distrax
import haiku as hk
import jax
import jax.numpy as jnp

from iq_acme.config import IQConfig
from iq_acme.policies import base, multicategorical, temperature
from iq_acme.policies.grid import Grid

# Hidden units of the head that sees the dimensions before.
HEAD_WIDTH = 64


class _Network(NamedTuple):
  """What log_prob, sampling and mode share, computed once per observation.

  Attributes:
    logits: of the torso, which sees the observation alone, [D, B, n].
    hidden: the observation's part of the head's hidden units, [B, W].
    value_weights: what each value of each dimension adds to the hidden units of the
      dimensions after it, [D, n, W]; none comes after the last.
    output_weights: from each dimension's hidden units to its logits, [D, W, n].
  """

  logits: jax.Array
  hidden: jax.Array
  value_weights: jax.Array
  output_weights: jax.Array


def make_autoregressive_policy(environment_spec: Any, config: IQConfig) -> base.Policy:
  """Makes a product of softmaxes of which each knows the dimensions before it.

  pi(a|s) = prod_j softmax(F^j(s) + G^j(s, a^1 .. a^{j-1}))(a^j). F is the
  multicategorical policy's network; G has a hidden layer of its own over F's last one
  and over the one-hot values before j. G starts at zero, and the policy is then the
  multicategorical one.

  Args:
    environment_spec: the environment's specs, with actions of floats [D] or integers.
    config: the number of values n of floats, the network's size, the scaling of the
      logits.

  Returns:
    A policy whose `log_prob` is exact and maps actions to values as the
    multicategorical one's; whose `mode` is decoded greedily, dimension by dimension,
    which need not be the most likely action; and whose `entropy` is the sum of each
    dimension's entropy given the action's values before it. Over actions of pi itself
    that is on average the entropy of pi.
  """
  factorised = multicategorical.make_multicategorical_policy(environment_spec, config)
  grid = Grid(environment_spec.actions, config)
  num_dimensions, num_values = grid.exists.shape
  network = _make_network(grid, config)

  def conditionals(
    params: base.Params, observation: base.Observation, action: jax.Array
  ) -> tuple[distrax.Categorical, jax.Array]:
    """Returns the D distributions [B, D] given an action, and its indices [B, D]."""
    index = grid.to_index(action)
    logits = _logits_along(network.apply(params, observation), index)
    return distrax.Categorical(logits=logits), index

  def log_prob(
    params: base.Params, observation: base.Observation, action: jax.Array
  ) -> jax.Array:
    distribution, index = conditionals(params, observation, action)
    return distribution.log_prob(index).sum(-1)

  def sample(
    params: base.Params, key: jax.Array, observation: base.Observation
  ) -> jax.Array:
    # The largest of logits and Gumbel noise is a sample of their softmax.
    batch_size = jax.tree.leaves(observation)[0].shape[0]
    noise = jax.random.gumbel(key, (batch_size, num_dimensions, num_values))
    net = network.apply(params, observation)
    return grid.to_action(_decode(net, noise.swapaxes(0, 1)))

  zeros = base.zeros_observation(environment_spec.observations)
  return dataclasses.replace(
    factorised,  # Whose uniform actions are these as well.
    init=lambda key: network.init(key, zeros),
    log_prob=log_prob,
    sample=sample,
    mode=lambda params, obs: grid.to_action(_decode(network.apply(params, obs), 0.0)),
    entropy=lambda *args: conditionals(*args)[0].entropy().sum(-1),
    entropy_name='conditional_entropy',
  )


def _make_network(grid: Grid, config: IQConfig) -> hk.Transformed:
  """Makes the torso and the head, from an observation to a `_Network`."""
  num_dimensions, num_values = grid.exists.shape

  def network(observation: base.Observation) -> _Network:
    scale = temperature.logit_scale(config)
    torso = base.torso(observation, config)
    logits = base.output_layer(torso, config, grid.exists.size)
    sizes = num_dimensions, num_values, HEAD_WIDTH
    w_init = base.uniform_fan_in(1.0)
    output_weights = hk.get_parameter(
      'output_weights', (sizes[0], sizes[2], sizes[1]), init=jnp.zeros
    )
    return _Network(
      # What the head adds is nothing beside the logit of a value that does not exist.
      scale * grid.to_logits(logits).swapaxes(0, 1),
      hk.Linear(HEAD_WIDTH, w_init=w_init, name='head')(torso),
      hk.get_parameter('value_weights', sizes, init=w_init),
      scale * output_weights,
    )

  return hk.without_apply_rng(hk.transform(network))


def _logits_along(net: _Network, index: jax.Array) -> jax.Array:
  """Returns the logits of each dimension, [B, D, n], given those before it, of [B, D]."""
  one_hots = jax.nn.one_hot(index.T[:-1], net.logits.shape[-1])
  hidden = [net.hidden]  # [B, W] of each dimension: without it and those after it.
  for one_hot, weights in zip(one_hots, net.value_weights):
    hidden.append(hidden[-1] + one_hot @ weights)
  logits = net.logits + jax.nn.relu(jnp.stack(hidden)) @ net.output_weights
  return logits.swapaxes(0, 1)


def _decode(net: _Network, noise: jax.Array | float) -> jax.Array:
  """Takes in each dimension the value whose log-probability plus noise is largest.

  Args:
    net: of a batch of observations.
    noise: to add, [D, B, n] or a number.

  Returns:
    The values' indices, [B, D].
  """

  def choose(hidden: jax.Array, xs: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    logits, noise, value_weights, output_weights = xs
    logits = logits + jax.nn.relu(hidden) @ output_weights
    index = jnp.argmax(jax.nn.log_softmax(logits) + noise, axis=-1)  # [B]
    return hidden + value_weights[index], index

  noise = jnp.broadcast_to(noise, net.logits.shape)
  xs = net.logits, noise, net.value_weights, net.output_weights
  return jax.lax.scan(choose, net.hidden, xs)[1].T
