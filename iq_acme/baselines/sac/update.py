"""SAC as pure functions: a training state, and the step that improves it.

Haarnoja et al., 2018, https://arxiv.org/abs/1812.05905, with adaptive temperature, step
for step what Acme's learner does.

Shapes: B batch, D action dimensions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from iq_acme.baselines.sac import networks as sac_networks
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.baselines.sac.networks import SACNetworks
from iq_acme.normalization import (
  RunningStatistics,
  init_statistics,
  normalize,
  update_statistics,
)
from iq_acme.transitions import Transition

Metrics = dict[str, jax.Array]

# Adam's, of the temperature; a constant of Acme's.
ALPHA_LEARNING_RATE = 3e-4


class TrainingState(NamedTuple):
  """Everything that learning carries from one step to the next, named as Acme's.

  Attributes:
    policy_optimizer_state: Adam's moments.
    q_optimizer_state: likewise.
    policy_params: the policy's parameters.
    q_params: of both critics.
    target_q_params: their Polyak average.
    key: what the next step's actions are sampled from, uint32 [2].
    alpha_optimizer_state: Adam's moments.
    alpha_params: the logarithm of the temperature alpha, a scalar.
    normalizer: statistics of the observations; None if they are not normalised.
  """

  policy_optimizer_state: optax.OptState
  q_optimizer_state: optax.OptState
  policy_params: Any
  q_params: Any
  target_q_params: Any
  key: jax.Array
  alpha_optimizer_state: optax.OptState
  alpha_params: jax.Array
  normalizer: RunningStatistics | None = None


def init_state(
  key: jax.Array, networks: SACNetworks, config: SACHyperparameters
) -> TrainingState:
  """Returns a fresh training state: alpha is 1, the targets equal their parameters.

  Args:
    key: a random key, from which the networks are initialised.
    networks: the networks to train.
    config: the hyperparameters.
  """
  policy_key, q_key, key = jax.random.split(key, 3)
  policy_params = networks.policy.init(policy_key)
  q_params = networks.init_critics(q_key)
  log_alpha = jnp.zeros(())
  normalizer = None
  if config.normalize_observations:
    normalizer = init_statistics(networks.environment_spec.observations)
  return TrainingState(
    policy_optimizer_state=optax.adam(config.learning_rate).init(policy_params),
    q_optimizer_state=optax.adam(config.learning_rate).init(q_params),
    policy_params=policy_params,
    q_params=q_params,
    # A copy of its own: a buffer that stands in one state twice cannot be donated.
    target_q_params=jax.tree.map(jnp.copy, q_params),
    key=key,
    alpha_optimizer_state=optax.adam(ALPHA_LEARNING_RATE).init(log_alpha),
    alpha_params=log_alpha,
    normalizer=normalizer,
  )


def sgd_step(
  state: TrainingState,
  transitions: Transition,
  *,
  networks: SACNetworks,
  config: SACHyperparameters,
) -> tuple[TrainingState, Metrics]:
  """Takes one step of Adam on all three losses, each at the parameters of before.

  Args:
    state: the state before the step.
    transitions: a batch of B transitions, actions in the environment's units.
    networks: the networks that the state's parameters are of.
    config: the hyperparameters.

  Returns:
    The state after the step, and scalar metrics: `critic_loss`, `actor_loss`,
    `alpha_loss`, `alpha` after the step, and `gradient_norm`, of all three together.
  """
  normalizer = state.normalizer
  if normalizer is not None:
    normalizer = update_statistics(normalizer, transitions.observation)
  transitions = transitions._replace(
    observation=normalize(transitions.observation, normalizer),
    action=networks.to_canonical(transitions.action),
    next_observation=normalize(transitions.next_observation, normalizer),
  )
  key, *keys = jax.random.split(state.key, 4)
  losses, gradients = _losses_and_gradients(state, transitions, keys, networks, config)
  state = _apply_gradients(state, gradients, config)
  metrics = {
    **losses,
    'alpha': jnp.exp(state.alpha_params),
    'gradient_norm': optax.tree.norm(gradients),
  }
  return state._replace(key=key, normalizer=normalizer), metrics


def alpha_loss(
  log_alpha: jax.Array,
  policy_params: Any,
  transitions: Transition,
  key: jax.Array,
  networks: SACNetworks,
) -> jax.Array:
  """Computes the temperature's loss, Eq. 18; the target entropy is -D.

  Args:
    log_alpha: what the gradient is of.
    policy_params: the policy's parameters.
    transitions: a batch of B transitions, observations normalised.
    key: what actions are sampled from.
    networks: the networks.
  """
  normal = networks.normal(policy_params, transitions.observation)
  action = sac_networks.sample(normal, key)
  entropy = -sac_networks.log_prob(normal, action)
  target_entropy = -action.shape[-1]
  return jnp.mean(jnp.exp(log_alpha) * jax.lax.stop_gradient(entropy - target_entropy))


def critic_loss(
  q_params: Any,
  policy_params: Any,
  target_q_params: Any,
  alpha: jax.Array,
  transitions: Transition,
  key: jax.Array,
  networks: SACNetworks,
  discount: Any,
) -> jax.Array:
  """Computes the soft Bellman error of both critics, Eq. 5.

  Args:
    q_params: of both critics, what the gradient is of.
    policy_params: the policy's parameters.
    target_q_params: of the targets of both, of which the smaller bootstraps.
    alpha: the temperature.
    transitions: a batch of B transitions, observations normalised, actions canonical.
    key: what actions are sampled from.
    networks: the networks.
    discount: of the return, gamma.
  """
  q_values = networks.critics(q_params, transitions.observation, transitions.action)
  normal = networks.normal(policy_params, transitions.next_observation)
  action = sac_networks.sample(normal, key)
  next_q = networks.critics(target_q_params, transitions.next_observation, action)
  next_value = jnp.min(next_q, -1) - alpha * sac_networks.log_prob(normal, action)
  target = transitions.reward + transitions.discount * discount * next_value
  errors = q_values - jax.lax.stop_gradient(target)[:, None]
  return 0.5 * jnp.mean(jnp.square(errors))


def actor_loss(
  policy_params: Any,
  q_params: Any,
  alpha: jax.Array,
  transitions: Transition,
  key: jax.Array,
  networks: SACNetworks,
) -> jax.Array:
  """Computes the policy's loss, Eq. 9.

  Args:
    policy_params: what the gradient is of.
    q_params: of both critics, of which the smaller counts.
    alpha: the temperature.
    transitions: a batch of B transitions, observations normalised.
    key: what actions are sampled from.
    networks: the networks.
  """
  normal = networks.normal(policy_params, transitions.observation)
  action = sac_networks.sample(normal, key)
  q_values = networks.critics(q_params, transitions.observation, action)
  log_prob = sac_networks.log_prob(normal, action)
  return jnp.mean(alpha * log_prob - jnp.min(q_values, axis=-1))


def _losses_and_gradients(
  state: TrainingState,
  transitions: Transition,
  keys: list[jax.Array],
  networks: SACNetworks,
  config: SACHyperparameters,
) -> tuple[Metrics, dict[str, Any]]:
  """Returns losses by name, and gradients by what they are of; keys in Acme's order."""
  alpha_key, critic_key, actor_key = keys
  alpha = jnp.exp(state.alpha_params)
  losses, gradients = {}, {}
  losses['critic_loss'], gradients['q'] = jax.value_and_grad(critic_loss)(
    state.q_params,
    state.policy_params,
    state.target_q_params,
    alpha,
    transitions,
    critic_key,
    networks,
    config.discount,
  )
  losses['actor_loss'], gradients['policy'] = jax.value_and_grad(actor_loss)(
    state.policy_params, state.q_params, alpha, transitions, actor_key, networks
  )
  losses['alpha_loss'], gradients['alpha'] = jax.value_and_grad(alpha_loss)(
    state.alpha_params, state.policy_params, transitions, alpha_key, networks
  )
  return losses, gradients


def _apply_gradients(
  state: TrainingState, gradients: dict[str, Any], config: SACHyperparameters
) -> TrainingState:
  """Takes Adam's steps, then the Polyak average of the critics."""
  rates = {'policy': config.learning_rate, 'q': config.learning_rate}
  for name, rate in {**rates, 'alpha': ALPHA_LEARNING_RATE}.items():
    params, moments = f'{name}_params', f'{name}_optimizer_state'
    updates, new_moments = optax.adam(rate).update(
      gradients[name], getattr(state, moments)
    )
    new_params = optax.apply_updates(getattr(state, params), updates)
    state = state._replace(**{params: new_params, moments: new_moments})
  weight = config.target_update_rate
  # Not `optax.incremental_update`: in this order it rounds as Acme's does.
  target_q_params = jax.tree.map(
    lambda old, new: old * (1 - weight) + new * weight,
    state.target_q_params,
    state.q_params,
  )
  return state._replace(target_q_params=target_q_params)
