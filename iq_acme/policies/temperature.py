"""A temperature that adapts, as a leaf of a policy's parameters.

With unscaled logits a policy's entropy does not depend on the temperature: a temperature
that is to move the entropy has no lever. So the network's output f is divided by
tau / tau_0, where tau_0 is `IQConfig.temperature`: at tau_0 the logits are the paper's,
and a change of tau moves the entropy at once, while tau times the logits, that is the
implicit advantages, stay as they were.

The leaf is log(tau / tau_0), a scalar that starts at 0. No gradient reaches it, so Adam
leaves it alone; `update.adapt_temperature` moves it. Not in the paper, which leaves the
adaptive temperature of multicategorical policies to later work (Section 4).
"""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from iq_acme import fields
from iq_acme.config import IQConfig

_MODULE, _NAME = '~', 'log_temperature_ratio'


def check_target_entropy(config: IQConfig, uniform: float) -> None:
  """Raises if the temperature would grow for ever.

  Args:
    config: the entropy that the temperature adapts to.
    uniform: the entropy per dimension of uniform actions, in nats.

  Raises:
    ValueError: if `target_entropy_per_dim` is not below it.
  """
  target = config.target_entropy_per_dim
  if target is not None and target >= uniform:
    allowed = f'below {uniform:.4g}, the entropy of uniform actions in nats'
    raise fields.error(config, 'target_entropy_per_dim', allowed)


def logit_scale(config: IQConfig) -> jax.Array | float:
  """Returns what a network's output is multiplied by; to be called inside Haiku.

  Args:
    config: the scaling of the logits (Section 3.3), and whether the temperature adapts.

  Returns:
    1 or 1 / tau_0, and divided by tau / tau_0 if the temperature adapts.
  """
  scale = 1 / config.temperature if config.scale_logits_by_temperature else 1.0
  if config.target_entropy_per_dim is None:
    return scale
  ratio = hk.get_parameter(_NAME, (), init=jnp.zeros)
  return scale * jnp.exp(-jax.lax.stop_gradient(ratio))


def current(config: IQConfig, params: Any) -> jax.Array | float:
  """Returns tau: the configuration's, or what it has adapted to in these parameters.

  No gradient goes through it.
  """
  if config.target_entropy_per_dim is None:
    return config.temperature
  return config.temperature * jnp.exp(jax.lax.stop_gradient(log_ratio(params)))


def log_ratio(params: Any) -> jax.Array:
  """Returns log(tau / tau_0) of a policy's parameters, a scalar."""
  return params[_MODULE][_NAME]


def with_log_ratio(params: Any, ratio: jax.Array) -> Any:
  """Returns a policy's parameters with another log(tau / tau_0)."""
  return {**params, _MODULE: {**params[_MODULE], _NAME: ratio}}
