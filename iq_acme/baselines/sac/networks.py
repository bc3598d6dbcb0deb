"""SAC's networks without Acme, with the names and sizes of Acme's: one file fits both.

Actions have the environment's units in `SACNetworks.policy`, and lie in the canonical
[-1, 1]^D everywhere else.

Shapes: B batch, D action dimensions.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import distrax
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from iq_acme import acting, critics
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.normalization import normalize
from iq_acme.policies import base
from iq_acme.policies.gaussian import MIN_SCALE
from iq_acme.spec_checks import check_continuous, check_environment_spec

# Beyond it, the tanh-normal's density is the mean over what is left of the interval.
THRESHOLD = 0.999
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclasses.dataclass(frozen=True)
class SACNetworks:
  """A tanh-normal policy and two critics, as pure functions of their parameters.

  `acting` takes them as it takes IQ's networks.

  Attributes:
    policy: the policy in the environment's units.
    normal: (the policy's parameters, observation [B, ...]) -> the normal distribution
      [B, D] of unsquashed actions.
    init_critics: key -> the critics' parameters.
    critics: (their parameters, observation [B, ...], canonical action [B, D]) -> both
      Q(s, a), [B, 2].
    to_canonical: (action [B, D] in the environment's units) -> the canonical one; the
      same bit for bit if the bounds are -1 and 1.
    environment_spec: the environment that they were made for.
  """

  policy: base.Policy
  normal: Callable[[base.Params, base.Observation], distrax.Normal]
  init_critics: Callable[[jax.Array], base.Params]
  critics: Callable[[base.Params, base.Observation, jax.Array], jax.Array]
  to_canonical: Callable[[jax.Array], jax.Array]
  environment_spec: Any


def make_networks(environment_spec: Any, config: SACHyperparameters) -> SACNetworks:
  """Makes the networks of Acme's SAC.

  Args:
    environment_spec: an `acme.specs.EnvironmentSpec` or this package's.
    config: the sizes.

  Raises:
    ValueError: if the observation is not one vector, or actions are not supported.
  """
  check_environment_spec(environment_spec)
  check_continuous(environment_spec.actions, 'SAC')
  observations, actions = environment_spec.observations, environment_spec.actions
  if len(getattr(observations, 'shape', ())) != 1:
    raise ValueError(
      f'The observation spec is {observations!r}; SAC takes one vector: flatten it in a '
      'wrapper, such as iq_acme.environments.DmEnvironment.'
    )
  num_dimensions = actions.shape[0]
  to_canonical, to_environment = _make_maps(actions)

  @hk.without_apply_rng
  @hk.transform
  def head(observation: base.Observation) -> tuple[jax.Array, jax.Array]:
    hidden = _mlp(config.hidden_layer_sizes, activate_final=True)
    return _NormalHead(num_dimensions)(hidden(observation))

  @hk.without_apply_rng
  @hk.transform
  def both_critics(observation: base.Observation, action: jax.Array) -> jax.Array:
    sizes = (*config.hidden_layer_sizes, 1)
    first, second = _mlp(sizes), _mlp(sizes)
    inputs = jnp.concatenate([observation, action], axis=-1)
    return jnp.concatenate([first(inputs), second(inputs)], axis=-1)

  def normal(params: base.Params, observation: base.Observation) -> distrax.Normal:
    return distrax.Normal(*head.apply(params, observation))

  zeros = base.zeros_observation(observations)
  return SACNetworks(
    policy=base.Policy(
      init=lambda key: head.init(key, zeros),
      log_prob=lambda params, obs, action: log_prob(
        normal(params, obs), to_canonical(action)
      ),
      sample=lambda params, key, obs: to_environment(sample(normal(params, obs), key)),
      mode=lambda params, obs: to_environment(mode(normal(params, obs))),
      entropy=lambda params, obs, action: normal(params, obs).entropy().sum(-1),
      sample_uniform=lambda key, batch_size: to_environment(
        jax.random.uniform(key, (batch_size, num_dimensions), minval=-1.0, maxval=1.0)
      ),
      entropy_name='base_normal_entropy',
    ),
    normal=normal,
    init_critics=lambda key: both_critics.init(
      key, zeros, jnp.zeros((1, num_dimensions))
    ),
    critics=both_critics.apply,
    to_canonical=to_canonical,
    environment_spec=environment_spec,
  )


def _make_maps(spec: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
  """Returns maps to canonical actions from the environment's units, and back."""
  minimum = np.broadcast_to(spec.minimum, spec.shape).astype(np.float32)
  maximum = np.broadcast_to(spec.maximum, spec.shape).astype(np.float32)
  # 0 and 1 if the bounds are -1 and 1, which changes no bit of an action.
  center, half_width = minimum / 2 + maximum / 2, maximum / 2 - minimum / 2

  def to_environment(canonical: jax.Array) -> jax.Array:
    # Rounding can pass a bound.
    return jnp.clip(center + half_width * canonical, minimum, maximum)

  return lambda action: (action - center) / half_width, to_environment


def sample(normal: distrax.Normal, key: jax.Array) -> jax.Array:
  """Samples a canonical action [B, D], differentiably."""
  return jnp.tanh(normal.sample(seed=key))


def mode(normal: distrax.Normal) -> jax.Array:
  """Returns the squashed mean, a canonical action [B, D]."""
  return jnp.tanh(normal.mode())


def log_prob(normal: distrax.Normal, action: jax.Array) -> jax.Array:
  """Returns log-densities of tanh-normal actions as Acme computes them.

  Args:
    normal: the distribution [B, D] before squashing.
    action: canonical, [B, D].

  Returns:
    The log-density on [-1, 1]^D, summed over dimensions, [B]. Beyond `THRESHOLD`, where
    atanh loses its precision, it is that of the mean over the rest of the interval,
    whose gradient is finite.
  """
  limit = jnp.arctanh(jnp.float32(THRESHOLD))
  log_width = jnp.log(1 - THRESHOLD)
  left = normal.log_cdf(-limit) - log_width
  right = normal.log_survival_function(limit) - log_width
  # Where the tails are taken, this keeps the gradient of the other branch finite.
  action = jnp.clip(action, -THRESHOLD, THRESHOLD)
  unsquashed = jnp.arctanh(action)
  # Not `normal.log_prob`: divided first, it rounds as Acme's does, bit for bit.
  difference = unsquashed / normal.scale - normal.loc / normal.scale
  inner = -0.5 * jnp.square(difference) - (_HALF_LOG_2PI + jnp.log(normal.scale))
  inner -= distrax.Tanh().forward_log_det_jacobian(unsquashed)
  outer = jnp.where(action >= THRESHOLD, right, inner)
  return jnp.where(action <= -THRESHOLD, left, outer).sum(-1)


def make_assess(networks: SACNetworks) -> critics.Assess:
  """Returns what SAC, which has no V of its own, expects of states.

  Args:
    networks: the networks.

  Returns:
    A jitted function of ((acting variables, the critics' parameters), observations) that
    returns 'value', the smaller of both critics' Q(s, mode), [B].
  """

  @jax.jit
  def assess(
    variables: tuple[acting.ActingVariables, Any], observations: Any
  ) -> dict[str, jax.Array]:
    acting_variables, q_params = variables
    normalized = normalize(observations, acting_variables.normalizer)
    action = mode(networks.normal(acting_variables.params, normalized))
    q_values = networks.critics(q_params, normalized, action)  # [B, 2]
    return {'value': jnp.min(q_values, axis=-1)}

  return assess


class _NormalHead(hk.Module):
  """Mean and standard deviation, under the names that Acme's layers have."""

  def __init__(self, num_dimensions: int):
    super().__init__(name='Normal')
    self._mean = hk.Linear(num_dimensions, w_init=_uniform_fan_in())
    self._scale = hk.Linear(num_dimensions, w_init=_uniform_fan_in())

  def __call__(self, hidden: jax.Array) -> tuple[jax.Array, jax.Array]:
    return self._mean(hidden), jax.nn.softplus(self._scale(hidden)) + MIN_SCALE


def _mlp(sizes: Any, activate_final: bool = False) -> hk.nets.MLP:
  return hk.nets.MLP(sizes, w_init=_uniform_fan_in(), activate_final=activate_final)


def _uniform_fan_in() -> hk.initializers.Initializer:
  return hk.initializers.VarianceScaling(1.0, 'fan_in', 'uniform')
