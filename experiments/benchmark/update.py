"""Rows of the benchmark that time an update and its parts, without any replay."""

from typing import Any

from experiments.benchmark.tasks import (
  BATCH_SIZE,
  HIDDEN,
  Row,
  environment_and_spec,
  random_transitions,
  windows,
)


def update_products(
  spec: Any, num_action_values: int = 11
) -> list[tuple[int, int, int]]:
  """Returns the matrix products [m, k] @ [k, n] that one update cannot do without.

  Args:
    spec: the environment's specs.
    num_action_values: values per action dimension.

  Returns:
    (m, k, n) of each: forward of the online and the target policy and value, and
    backward of the online ones, but for the gradient of their input.
  """
  observation, action = spec.observations.shape[0], spec.actions.shape[0]
  products = []
  for output in (action * num_action_values, 1):
    layers = [(observation, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, output)]
    for i, (k, n) in enumerate(layers):
      products += [(BATCH_SIZE, k, n)] * 2  # Online and target, forward.
      products.append((k, BATCH_SIZE, n))  # The weights' gradient.
      if i > 0:
        products.append((BATCH_SIZE, n, k))  # The gradient of the layer's input.
  return products


def gemm_bound(env_name: str) -> Row:
  """Runs only the matrix products of an update, as one jitted function."""
  _, spec = environment_and_spec(env_name)
  import jax

  shapes = update_products(spec)
  keys = jax.random.split(jax.random.PRNGKey(0), len(shapes))
  pairs = [
    (jax.random.normal(key, (m, k)), jax.random.normal(key, (k, n)))
    for key, (m, k, n) in zip(keys, shapes)
  ]
  products = jax.jit(lambda pairs: [a @ b for a, b in pairs])
  return windows(lambda: jax.block_until_ready(products(pairs)))


def _update_parts(env_name: str, **overrides: Any) -> tuple[Any, ...]:
  """Makes a fresh agent's networks, config and state, and a batch on the device."""
  _, spec = environment_and_spec(env_name)
  import jax

  from iq_acme import IQConfig, make_networks, update

  config = IQConfig(**overrides)
  networks = make_networks(spec, config)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  batch = jax.device_put(random_transitions(spec, BATCH_SIZE))
  return networks, config, state, batch


def bare_update(env_name: str, **overrides: Any) -> Row:
  """Runs `update.sgd_steps` on one batch that is on the device already."""
  networks, config, state, batch = _update_parts(env_name, **overrides)
  import functools

  import jax

  from iq_acme import update

  state = [state]
  step = jax.jit(functools.partial(update.sgd_steps, networks=networks, config=config))

  def run() -> None:
    state[0] = step(state[0], batch)[0]

  return windows(run, lambda: jax.block_until_ready(state[0]))


def gradient(env_name: str) -> Row:
  """Runs of a bare update the loss, its gradient and its metrics."""
  networks, config, state, batch = _update_parts(env_name)
  import functools

  import jax

  from iq_acme import update

  loss = functools.partial(update.batch_loss, networks=networks, config=config)
  step = jax.jit(jax.grad(loss, has_aux=True))
  return windows(
    lambda: jax.block_until_ready(step(state.params, state.target_params, batch))
  )


def adam_and_polyak(env_name: str) -> Row:
  """Runs of a bare update the gradient's norm, and all that follows the gradient."""
  _, config, state, _ = _update_parts(env_name)
  import jax
  import optax

  from iq_acme import optimization

  @jax.jit
  def step(gradient: Any, state: Any) -> Any:
    return optimization.apply_gradient(state, gradient, config), optax.tree.norm(
      gradient
    )

  # Any tree of their shape does for a gradient.
  return windows(lambda: jax.block_until_ready(step(state.params, state)))
