"""The contract of a policy family, and the torso that the families share.

Shapes: B batch, D action dimensions.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

Params = Any
Observation = Any  # A nest of arrays [B, ...].


@dataclasses.dataclass(frozen=True)
class Policy:
  """A family of action distributions, as pure functions of its parameters.

  Actions are in the environment's own units throughout.

  Attributes:
    init: key -> parameters.
    log_prob: (parameters, observation [B, ...], action [B, D]) -> [B], the exact,
      differentiable log-probability in nats.
    sample: (parameters, key, observation [B, ...]) -> action [B, D].
    mode: (parameters, observation [B, ...]) -> action [B, D].
    entropy: (parameters, observation [B, ...]) -> [B], in nats.
    sample_uniform: (key, batch size) -> action [B, D], for exploration before
      learning starts.
    entropy_name: what `entropy` is the entropy of, as a metric's name.
  """

  init: Callable[[jax.Array], Params]
  log_prob: Callable[[Params, Observation, jax.Array], jax.Array]
  sample: Callable[[Params, jax.Array, Observation], jax.Array]
  mode: Callable[[Params, Observation], jax.Array]
  entropy: Callable[[Params, Observation], jax.Array]
  sample_uniform: Callable[[jax.Array, int], jax.Array]
  entropy_name: str = 'policy_entropy'


# SAC's initialisation in Acme, which the paper's networks share (Section 6).
W_INIT = hk.initializers.VarianceScaling(1.0, 'fan_in', 'uniform')


def mlp(
  observation: Observation, hidden_layer_sizes: Sequence[int], output_size: int
) -> jax.Array:
  """A ReLU network over a flattened observation; to be called inside Haiku.

  Args:
    observation: a nest of arrays [B, ...], concatenated in the order of its leaves.
    hidden_layer_sizes: widths of the hidden layers.
    output_size: width O of the linear output.

  Returns:
    An array [B, O].
  """
  inputs = jnp.concatenate(
    [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(observation)],
    axis=-1,
  )
  return hk.nets.MLP([*hidden_layer_sizes, output_size], w_init=W_INIT)(inputs)


def zeros_observation(observation_spec: Any) -> Observation:
  """A batch of one all-zero observation, to initialise parameters with."""
  return jax.tree.map(lambda spec: jnp.zeros((1, *spec.shape)), observation_spec)
