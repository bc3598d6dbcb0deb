"""Linear networks, batches for them, and the jitted update: small enough for numpy."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks, ValueNetwork
from iq_acme.policies import Policy

CONFIG = IQConfig(
  temperature=0.5,
  discount=0.8,
  learning_rate=0.1,
  target_update_rate=0.3,
  num_action_values=3,
  hidden_layer_sizes=(8,),
)
SPEC = SimpleNamespace(
  observations=specs.Array((2,), np.float32),
  actions=specs.BoundedArray((2,), np.float32, 0.0, 2.0),
)


def batch_of(size, seed=0):
  rng = np.random.default_rng(seed)
  return update.Transition(
    observation=rng.normal(size=(size, 2)).astype(np.float32),
    action=rng.integers(0, 3, size=(size, 2)).astype(np.float32),
    reward=rng.normal(size=size).astype(np.float32),
    discount=(np.arange(size) % 4 != 3).astype(np.float32),  # Every fourth is an end.
    next_observation=rng.normal(size=(size, 2)).astype(np.float32),
  )


# Linear networks: V(s) = s . v, and logits s . W of 2 dimensions with 3 values each;
# action 0, 1 or 2 is its own index.


def linear_networks():
  def log_softmax(params, observation):
    return jax.nn.log_softmax(jnp.einsum('bi,idn->bdn', observation, params))

  def log_prob(params, observation, action):
    one_hot = jax.nn.one_hot(action.astype(int), 3)
    return jnp.sum(one_hot * log_softmax(params, observation), axis=(1, 2))

  def entropy(params, observation, action):
    log_probs = log_softmax(params, observation)
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=(1, 2))

  policy = Policy(
    init=lambda key: jax.random.normal(key, (2, 2, 3)),
    log_prob=log_prob,
    sample=None,
    mode=None,
    entropy=entropy,
    sample_uniform=None,
  )
  value = ValueNetwork(
    init=lambda key: jax.random.normal(key, (2,)), apply=lambda v, s: s @ v
  )
  return IQNetworks(policy=policy, value=value, environment_spec=SPEC)


NETWORKS = linear_networks()


@functools.lru_cache
def jitted_step(config):
  return jax.jit(functools.partial(update.sgd_step, networks=NETWORKS, config=config))
