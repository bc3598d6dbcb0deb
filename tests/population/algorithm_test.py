"""Members' SGD steps against single updates: each member's is what it would be alone."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mixed_members import CONFIGS, SIZES, SPEC

from iq_acme import update
from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.population import iq

pytestmark = pytest.mark.core

# Temperatures that adapt, each at its own rate to its own entropy.
ADAPTIVE = [
  IQConfig(target_entropy_per_dim=entropy, temperature_learning_rate=rate, **SIZES)
  for entropy, rate in ((0.5, 0.1), (2.0, 0.01))
]
# The value of the policy's own outputs, which holds no parameters.
ONE_NETWORK = [
  IQConfig(
    separate_value=False,
    scale_logits_by_temperature=True,
    num_pairs=2,
    learning_rate=rate,
    **SIZES,
  )
  for rate in (3e-4, 1e-3)
]

# Two of them, whose mean makes one policy.
ENSEMBLE = [
  dataclasses.replace(config, num_pairs=1, num_q_networks=2) for config in ONE_NETWORK
]

# Its place differs between the versions of JAX.
enable_x64 = (
  jax.enable_x64 if hasattr(jax, 'enable_x64') else jax.experimental.enable_x64
)


def batches(count, dtype=np.float32, size=8):
  rng = np.random.default_rng(5)

  def batch():
    return update.Transition(
      observation=rng.standard_normal((size, 3)).astype(dtype),
      action=rng.uniform(-1, 1, (size, 2)).astype(dtype),
      reward=rng.standard_normal(size).astype(dtype),
      discount=rng.integers(0, 2, size).astype(dtype),
      next_observation=rng.standard_normal((size, 3)).astype(dtype),
    )

  return [batch() for _ in range(count)]


def stacked(configs):
  return jax.tree.map(
    lambda *x: jnp.asarray(x), *(iq.numbers_of(config) for config in configs)
  )


def single_step(config):
  networks = make_networks(SPEC, config)
  step = functools.partial(update.sgd_step, networks=networks, config=config)
  return networks, jax.jit(step)


@pytest.mark.parametrize(
  ('configs', 'num_steps'),
  [(CONFIGS, 100), (ADAPTIVE, 20), (ONE_NETWORK, 20), (ENSEMBLE, 20)],
)
def test_members_take_the_steps_that_they_would_take_alone(configs, num_steps):
  with enable_x64(True):
    algorithm = iq.make(configs, SPEC)
    numbers = stacked(configs)
    keys = jnp.stack([jax.random.PRNGKey(seed) for seed in range(len(configs))])
    states = jax.vmap(algorithm.init)(keys, numbers)
    step = jax.jit(jax.vmap(algorithm.sgd_step, in_axes=(0, None, 0)))
    stream = batches(num_steps, np.float64)
    for batch in stream:
      states, _ = step(states, batch, numbers)
    for i, config in enumerate(configs):
      networks, alone = single_step(config)
      state = update.init_state(keys[i], networks, config)
      for batch in stream:
        state, _ = alone(state, batch)
      together = jax.tree.map(lambda x, i=i: np.asarray(x[i]), states)
      assert all(x.dtype == np.float64 for x in jax.tree.leaves(together.params))
      jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-9),
        together,
        jax.device_get(state),
      )


def test_the_first_gradient_is_that_of_a_single_update():
  (batch,) = batches(1)
  with jax.default_matmul_precision('highest'):
    algorithm = iq.make(CONFIGS, SPEC)
    numbers = stacked(CONFIGS)
    keys = jnp.stack([jax.random.PRNGKey(seed) for seed in range(4)])
    states = jax.vmap(algorithm.init)(keys, numbers)
    states, _ = jax.jit(jax.vmap(algorithm.sgd_step, in_axes=(0, None, 0)))(
      states, batch, numbers
    )
    for i, config in enumerate(CONFIGS):
      networks, alone = single_step(config)
      state, _ = alone(update.init_state(keys[i], networks, config), batch)
      # Adam's first moment is a tenth of the first gradient.
      mine = jax.tree.map(lambda x, i=i: x[i], states.optimizer_state[0].mu)
      theirs = state.optimizer_state[0].mu
      norm = np.sqrt(sum(np.sum(np.square(x)) for x in jax.tree.leaves(theirs)))
      difference = jax.tree.map(lambda x, y: np.sum(np.square(x - y)), mine, theirs)
      assert np.sqrt(sum(jax.tree.leaves(difference))) < 1e-5 * norm
