"""Choosing actions from a policy's variables, as pure functions.

What an actor needs of the learner is one bundle, `ActingVariables`, so that actors,
evaluators and loaded policies all act through the same few lines.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iq_acme.networks import IQNetworks
from iq_acme.normalization import RunningStatistics, normalize


class ActingVariables(NamedTuple):
  """What acting takes from learning.

  Attributes:
    params: the policy's parameters.
    normalizer: statistics of the observations, None if they are not normalised.
    exploring: whether the uniform exploration before learning still goes on; a bool
      scalar, which evaluation ignores.
  """

  params: Any
  normalizer: RunningStatistics | None
  exploring: Any


# (variables, key, observation [...]) -> (action, the next key), unbatched.
ActingPolicy = Callable[[ActingVariables, jax.Array, Any], tuple[jax.Array, jax.Array]]


def make_behavior_policy(networks: IQNetworks) -> ActingPolicy:
  """Returns the policy that collects data: uniform at first, then pi itself.

  Args:
    networks: the networks whose policy acts.

  Returns:
    A pure function of (variables, key, observation) that returns an action in the
    environment's units and the key to pass next time.
  """
  policy = networks.policy

  def choose(variables: ActingVariables, key: jax.Array, batch: Any) -> jax.Array:
    return jnp.where(
      variables.exploring,
      policy.sample_uniform(key, 1),
      policy.sample(variables.params, key, batch),
    )

  return _acting_policy(choose)


def make_evaluation_policy(
  networks: IQNetworks, *, deterministic: bool
) -> ActingPolicy:
  """Returns the policy that is evaluated, which never explores uniformly.

  Args:
    networks: the networks whose policy acts.
    deterministic: whether to take the policy's mode, or to sample from pi.

  Returns:
    A pure function like `make_behavior_policy`'s.
  """
  policy = networks.policy

  def choose(variables: ActingVariables, key: jax.Array, batch: Any) -> jax.Array:
    if deterministic:
      return policy.mode(variables.params, batch)
    return policy.sample(variables.params, key, batch)

  return _acting_policy(choose)


def make_evaluation_policies(networks: IQNetworks) -> dict[bool, ActingPolicy]:
  """Returns both policies of `make_evaluation_policy`, by whether deterministic."""
  return {
    deterministic: make_evaluation_policy(networks, deterministic=deterministic)
    for deterministic in (True, False)
  }


class NonFiniteActionError(RuntimeError):
  """A policy is spoilt: its parameters, or an action that it chose, are not finite.

  Actions alone do not tell: multicategorical policies take a value of the action's
  range whatever their parameters are. A learner checks its loss, and `save_policy` the
  parameters.
  """


def to_environment(action: Any, spec: Any) -> np.ndarray:
  """Returns an action as the environment takes it.

  Args:
    action: an action of an acting policy, float32 or int32.
    spec: the environment's bounded action spec.

  Returns:
    The action in the spec's dtype and within its bounds, which may lie between two
    numbers of float32 if they are of float64. One of shape () is a NumPy number.

  Raises:
    NonFiniteActionError: if the action is not finite.
  """
  action = np.asarray(action, spec.dtype)
  if not np.all(np.isfinite(action)):
    raise NonFiniteActionError(
      f'The policy chose the action {action}: learning has diverged. The last checkpoint '
      'is from before that; try a lower learning_rate.'
    )
  return np.clip(action, spec.minimum, spec.maximum)


def _acting_policy(
  choose: Callable[[ActingVariables, jax.Array, Any], jax.Array],
) -> ActingPolicy:
  """Acts on one observation by what chooses actions for a batch of one."""

  def act(
    variables: ActingVariables, key: jax.Array, observation: Any
  ) -> tuple[jax.Array, jax.Array]:
    key, sample_key = jax.random.split(key)
    batch = jax.tree.map(lambda x: jnp.asarray(x)[None], observation)
    batch = normalize(batch, variables.normalizer)
    return choose(variables, sample_key, batch)[0], key

  return act
