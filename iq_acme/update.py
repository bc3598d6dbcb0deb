"""The algorithm as pure functions: a fresh training state, and the step that improves it.

Shapes: B batch, D action dimensions, K SGD steps.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from iq_acme import losses, optimization
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks
from iq_acme.normalization import init_statistics, normalize, update_statistics
from iq_acme.optimization import IQParams, TrainingState
from iq_acme.transitions import Transition

Metrics = dict[str, jax.Array]

# Metrics that keep their minimum, not their mean, over several SGD steps.
MINIMUM_METRICS = ('log_policy_min',)


def init_state(key: jax.Array, networks: IQNetworks, config: IQConfig) -> TrainingState:
  """Returns a fresh training state, its targets equal to its parameters.

  Args:
    key: a random key, from which the networks are initialised.
    networks: the networks to train.
    config: the hyperparameters.

  Returns:
    The state before the first SGD step.
  """
  policy_key, value_key, key = jax.random.split(key, 3)
  other_keys = (jax.random.fold_in(key, i) for i in range(1, config.num_pairs))
  pair_keys = [(policy_key, value_key), *map(jax.random.split, other_keys)]
  first, *others = (IQParams(*networks.init(*keys)) for keys in pair_keys)
  params = first._replace(others=tuple(others))
  normalizer = None
  if config.normalize_observations:
    normalizer = init_statistics(networks.environment_spec.observations)
  return TrainingState(
    params=params,
    # A copy of its own: a buffer that stands in one state twice cannot be donated.
    target_params=jax.tree.map(jnp.copy, params),
    optimizer_state=optimization.make_optimizer(config).init(params),
    normalizer=normalizer,
    steps=jnp.zeros((), jnp.int32),
    key=key,
  )


def sgd_step(
  state: TrainingState,
  transitions: Transition,
  *,
  networks: IQNetworks,
  config: IQConfig,
) -> tuple[TrainingState, Metrics]:
  """Takes one step of Adam on Eq. 2, then the Polyak average of both networks.

  Args:
    state: the state before the step.
    transitions: a batch of B transitions.
    networks: the networks that the state's parameters are of.
    config: the hyperparameters.

  Returns:
    The state after the step, and scalar metrics of the step: `gradient_norm`, those of
    `batch_loss`, and `temperature` if it adapts.
  """
  normalizer = state.normalizer
  if normalizer is not None:
    normalizer = update_statistics(normalizer, transitions.observation)
    transitions = transitions._replace(
      observation=normalize(transitions.observation, normalizer),
      next_observation=normalize(transitions.next_observation, normalizer),
    )

  adapts = config.target_entropy_per_dim is not None
  now = (
    optimization.with_adapted_temperature(config, state.params) if adapts else config
  )
  gradient, metrics = jax.grad(batch_loss, has_aux=True)(
    state.params, state.target_params, transitions, networks=networks, config=now
  )
  metrics['gradient_norm'] = optax.tree.norm(gradient)
  new_state = optimization.apply_gradient(state, gradient, config)
  if adapts:
    metrics['temperature'] = now.temperature
    new_state = optimization.adapt_temperature(
      new_state, metrics['policy_entropy_per_dim'], config
    )
  return new_state._replace(normalizer=normalizer), metrics


def sgd_steps(
  state: TrainingState,
  transitions: Transition,
  *,
  networks: IQNetworks,
  config: IQConfig,
) -> tuple[TrainingState, Metrics]:
  """Takes `config.num_sgd_steps_per_step` SGD steps, each on its part of a batch.

  They are that many calls of `sgd_step` up to rounding, not bit for bit: XLA compiles
  the body of a scan by itself, and may order its sums otherwise.

  Args:
    state: the state before the steps.
    transitions: K * B transitions; SGD step k takes those from k B to (k + 1) B.
    networks: the networks that the state's parameters are of.
    config: the hyperparameters.

  Returns:
    The state after the steps, and each metric's mean over them (the minimum of the
    `MINIMUM_METRICS`).
  """
  num_steps = config.num_sgd_steps_per_step
  if num_steps == 1:
    return sgd_step(state, transitions, networks=networks, config=config)
  batches = jax.tree.map(
    lambda x: x.reshape(num_steps, x.shape[0] // num_steps, *x.shape[1:]), transitions
  )
  state, metrics = jax.lax.scan(
    lambda state, batch: sgd_step(state, batch, networks=networks, config=config),
    state,
    batches,
  )
  reduced = {
    name: jnp.min(x) if name in MINIMUM_METRICS else jnp.mean(x)
    for name, x in metrics.items()
  }
  return state, reduced


def batch_loss(
  params: IQParams,
  target_params: IQParams,
  transitions: Transition,
  *,
  networks: IQNetworks,
  config: IQConfig,
) -> tuple[jax.Array, Metrics]:
  """Computes Eq. 2 on a batch, summed over all that learn by it.

  Args:
    params: the online parameters, which the gradient is of.
    target_params: the target parameters, which get none.
    transitions: a batch of B transitions, observations normalised.
    networks: the networks.
    config: the hyperparameters.

  Returns:
    The loss, and scalar metrics of the pair that acts (of several Q-networks, what has
    to do with V or the error is of the first): `loss`, `td_error_mean`,
    `td_error_abs_mean`, `value_mean` (V(s)), `log_policy_mean` and `log_policy_min`
    (log pi(a|s), nats), `munchausen_term_mean` (alpha tau log pi_target(a|s), units of
    reward) and `policy_entropy_per_dim` (nats, or whichever entropy the family names).
  """
  bootstraps = params if config.value_bootstrap == 'online' else target_params
  (loss, metrics), *others = (
    _member_loss(
      member,
      pair,
      target_pair,
      bootstraps,
      transitions,
      networks=networks,
      config=config,
    )
    for pair, target_pair in zip(params.pairs, target_params.pairs)
    for member in networks.members(pair.policy)
  )
  return functools.reduce(jnp.add, (other for other, _ in others), loss), metrics


def _member_loss(
  member: Any,
  params: IQParams,
  target_params: IQParams,
  bootstrap_params: IQParams,
  transitions: Transition,
  *,
  networks: IQNetworks,
  config: IQConfig,
) -> tuple[jax.Array, Metrics]:
  """Computes Eq. 2 of one member of a pair; the bootstrap is the smallest V of all."""
  policy, one = networks.policy, networks.member
  observation, action = transitions.observation, transitions.action

  v_tm1 = one.state_value(member, params.value, observation)  # [B]
  v_t = functools.reduce(
    jnp.minimum,
    [
      networks.state_value(pair.policy, pair.value, transitions.next_observation)
      for pair in bootstrap_params.pairs
    ],
  )  # [B]
  log_prob_tm1 = one.policy.log_prob(member, observation, action)  # [B]
  # Nothing is paid for it at 0, and it is an eighth of the matrix products. Members of
  # a population have coefficients that are arrays, of which none is zero for all.
  coefficient = config.munchausen_coefficient
  if not isinstance(coefficient, jax.Array) and coefficient == 0:
    target_log_prob_tm1 = jnp.zeros_like(log_prob_tm1)
  else:
    target_log_prob_tm1 = policy.log_prob(target_params.policy, observation, action)

  def td_error(*args: jax.Array) -> jax.Array:
    return losses.iq_td_error(
      *args,
      temperature=config.temperature,
      munchausen_coefficient=config.munchausen_coefficient,
      munchausen_bound=config.munchausen_bound,
      advantage_bound=config.advantage_bound,
      disadvantage_bound=config.disadvantage_bound,
      stop_bootstrap_gradients=config.value_bootstrap == 'target',
    )

  td_errors = jax.vmap(td_error)(
    v_tm1,
    log_prob_tm1,
    target_log_prob_tm1,
    transitions.reward,
    config.discount * transitions.discount,
    v_t,
  )
  loss = losses.iq_loss(td_errors)
  entropy = policy.entropy(params.policy, observation, action)  # [B]
  num_dimensions = math.prod(action.shape[1:])
  munchausen_scale = config.munchausen_coefficient * config.temperature
  metrics = {
    'loss': loss,
    'td_error_mean': jnp.mean(td_errors),
    'td_error_abs_mean': jnp.mean(jnp.abs(td_errors)),
    'value_mean': jnp.mean(v_tm1),
    'log_policy_mean': jnp.mean(log_prob_tm1),
    'log_policy_min': jnp.min(log_prob_tm1),
    'munchausen_term_mean': munchausen_scale * jnp.mean(target_log_prob_tm1),
    f'{policy.entropy_name}_per_dim': jnp.mean(entropy) / num_dimensions,
  }
  if config.center_policy_error:
    loss += losses.policy_control_variate(td_errors, log_prob_tm1, config.temperature)
  return loss, metrics
