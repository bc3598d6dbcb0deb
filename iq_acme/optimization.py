"""What learning carries from step to step, and how a gradient changes it (Section 6)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from iq_acme import fields
from iq_acme.config import IQConfig
from iq_acme.normalization import RunningStatistics
from iq_acme.policies import temperature


class IQParams(NamedTuple):
  """Parameters of the pairs (pi, V), of which there is one unless told otherwise.

  Attributes:
    policy: of the policy that acts.
    value: of its value, empty if that is the policy's own; Eq. 1 holds for each pair by
      itself.
    others: the further pairs; see `IQConfig.num_pairs`.
  """

  policy: Any
  value: Any
  others: tuple['IQParams', ...] = ()

  @property
  def pairs(self) -> tuple['IQParams', ...]:
    """Every pair by itself, the one that acts first."""
    return (self._replace(others=()), *self.others)

  def map_policies(self, function: Callable[[Any], Any]) -> 'IQParams':
    """Returns the pairs with other parameters of the policy in each."""
    first, *others = (
      pair._replace(policy=function(pair.policy)) for pair in self.pairs
    )
    return first._replace(others=tuple(others))


class TrainingState(NamedTuple):
  """Everything that learning carries from one step to the next.

  Attributes:
    params: the online parameters, theta and phi in the paper.
    target_params: their Polyak average.
    optimizer_state: Adam's moments.
    normalizer: statistics of the observations; None if they are not normalised.
    steps: SGD steps taken, an int32 scalar.
    key: a random key, uint32 [2], for policy families whose loss needs one.
  """

  params: IQParams
  target_params: IQParams
  optimizer_state: optax.OptState
  normalizer: RunningStatistics | None
  steps: jax.Array
  key: jax.Array


def make_optimizer(config: IQConfig) -> optax.GradientTransformation:
  """Makes Adam, as in Section 6."""
  return optax.adam(config.learning_rate)


def apply_gradient(
  state: TrainingState, gradient: IQParams, config: IQConfig
) -> TrainingState:
  """Adam's step, then the Polyak average of both networks (Section 6).

  Args:
    state: the state before the step.
    gradient: of the loss, shaped as `state.params`.
    config: the hyperparameters.

  Returns:
    The state after the step; normaliser and key are those of before.
  """
  updates, optimizer_state = make_optimizer(config).update(
    gradient, state.optimizer_state
  )
  updates = _scale_policy_updates(updates, state.steps, config)
  params = optax.apply_updates(state.params, updates)
  target_params = optax.incremental_update(
    params, state.target_params, config.target_update_rate
  )
  return state._replace(
    params=params,
    target_params=target_params,
    optimizer_state=optimizer_state,
    steps=state.steps + 1,
  )


def adapt_temperature(
  state: TrainingState, entropy_per_dim: jax.Array, config: IQConfig
) -> TrainingState:
  """Moves the temperature of all policies, online and target, towards an entropy.

  log tau grows by `temperature_learning_rate` times the nats that the entropy lacks,
  from the policy's first SGD step on. See `policies.temperature`.

  Args:
    state: after Adam's step, which leaves the temperature alone.
    entropy_per_dim: of the policy that acts, a scalar in nats.
    config: with a `target_entropy_per_dim`.

  Returns:
    The state, with one temperature in all of its policies.
  """
  missing = config.target_entropy_per_dim - entropy_per_dim
  step = config.temperature_learning_rate * missing
  ratio = temperature.log_ratio(state.params.policy)
  ratio = ratio + jnp.where(state.steps > config.policy_start, step, 0.0)

  def with_ratio(policy: Any) -> Any:
    return temperature.with_log_ratio(policy, ratio)

  return state._replace(
    params=state.params.map_policies(with_ratio),
    target_params=state.target_params.map_policies(with_ratio),
  )


def with_adapted_temperature(config: IQConfig, params: IQParams) -> IQConfig:
  """Returns a configuration whose temperature is the one that parameters adapted to."""
  return fields.with_numbers(
    config, {'temperature': temperature.current(config, params.policy)}
  )


def _scale_policy_updates(
  updates: IQParams, steps: jax.Array, config: IQConfig
) -> IQParams:
  """Makes Adam's step of the policies the size that the configuration gives them.

  Args:
    updates: of `config.learning_rate`, in which Adam's updates are linear.
    steps: SGD steps taken so far.
    config: with `policy_learning_rate` and `policy_start`.

  Returns:
    The updates, those of the values as they were.
  """
  if config.policy_learning_rate is None and config.policy_start == 0:
    return updates
  rate = config.policy_learning_rate
  if rate is None:
    rate = config.learning_rate
  scale = jnp.where(steps < config.policy_start, 0.0, rate / config.learning_rate)
  return updates.map_policies(
    lambda policy: jax.tree.map(lambda update: scale * update, policy)
  )
