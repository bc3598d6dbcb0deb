"""The contract of a policy family, and the torso that the families share.

Shapes: B batch, A the shape of an action: (D,), or of integers any, also ().
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from iq_acme.config import IQConfig

Params = Any
Observation = Any  # A nest of arrays [B, ...].


@dataclasses.dataclass(frozen=True)
class Policy:
  """A family of action distributions, as pure functions of its parameters.

  Actions are in the environment's own units throughout, float32 or int32.

  Attributes:
    init: key -> parameters.
    log_prob: (parameters, observation [B, ...], action [B, *A]) -> [B], the exact,
      differentiable log-probability in nats.
    sample: (parameters, key, observation [B, ...]) -> action [B, *A].
    mode: (parameters, observation [B, ...]) -> action [B, *A], the most likely one; of
      autoregressive policies the one that is decoded greedily.
    entropy: (parameters, observation [B, ...], action [B, *A]) -> [B], in nats; the
      action is for families whose dimensions depend on one another.
    sample_uniform: (key, batch size) -> action [B, *A], for exploration before
      learning starts.
    entropy_name: what `entropy` is the entropy of, as a metric's name.
    soft_value: (parameters, observation [B, ...]) -> [B], the V(s) of Eq. 1 if Q is the
      network's own output, in units of return; None if the family has none.
    member: if the parameters are a tuple of networks that learn each by themselves, the
      policy of one of them; else None.
  """

  init: Callable[[jax.Array], Params]
  log_prob: Callable[[Params, Observation, jax.Array], jax.Array]
  sample: Callable[[Params, jax.Array, Observation], jax.Array]
  mode: Callable[[Params, Observation], jax.Array]
  entropy: Callable[[Params, Observation, jax.Array], jax.Array]
  sample_uniform: Callable[[jax.Array, int], jax.Array]
  entropy_name: str = 'policy_entropy'
  soft_value: Callable[[Params, Observation], jax.Array] | None = None
  member: 'Policy | None' = None


def mlp(observation: Observation, config: IQConfig, output_size: int) -> jax.Array:
  """Returns a ReLU network over a flattened observation; to be called inside Haiku.

  Args:
    observation: a nest of arrays [B, ...], concatenated in the order of its leaves.
    config: the widths of the hidden layers, and how small the output starts.
    output_size: width O of the linear output.

  Returns:
    An array [B, O].
  """
  return output_layer(torso(observation, config), config, output_size)


def torso(observation: Observation, config: IQConfig) -> jax.Array:
  """Returns the last hidden layer [B, H] of `mlp`; to be called inside Haiku."""
  inputs = jnp.concatenate(
    [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(observation)],
    axis=-1,
  )
  # SAC's initialisation in Acme, which the paper's networks share (Section 6).
  hidden = hk.nets.MLP(
    config.hidden_layer_sizes, w_init=uniform_fan_in(1.0), activate_final=True
  )
  return hidden(inputs)


def output_layer(hidden: jax.Array, config: IQConfig, output_size: int) -> jax.Array:
  """Returns the linear output [B, O] of `mlp`; to be called inside Haiku."""
  w_init = uniform_fan_in(config.output_init_scale)
  return hk.Linear(output_size, w_init=w_init, name='output')(hidden)


def uniform_fan_in(scale: float) -> hk.initializers.Initializer:
  """Draws weights uniformly, with variance `scale` over the number of inputs."""
  return hk.initializers.VarianceScaling(scale, 'fan_in', 'uniform')


def action_bounds(action_spec: Any) -> tuple[np.ndarray, np.ndarray]:
  """Returns the least and the largest action, float32 [*A] each."""
  shape = action_spec.shape
  minimum = np.broadcast_to(action_spec.minimum, shape).astype(np.float32)
  return minimum, np.broadcast_to(action_spec.maximum, shape).astype(np.float32)


def zeros_observation(observation_spec: Any) -> Observation:
  """Returns a batch of one all-zero observation, to initialise parameters with."""
  return jax.tree.map(lambda spec: jnp.zeros((1, *spec.shape)), observation_spec)
