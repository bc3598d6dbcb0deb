"""Eq. 2 in one file, without this package: what the agent's curves are held against.

  python -m experiments.benchmark.plain_iq --initialisation=small --seed=0 --output=plain.csv

M-IQ on HalfCheetah-v4 with the paper's settings, in plain JAX on a numpy buffer:
networks, Adam, Polyak average and sampling are all written out here, so that it
shares no line with the agent and no bug. It is slow to change and has no options but
the networks' initialisation, which is what it was used to study.
"""

import argparse
import csv
import functools
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

INITIALISATIONS = {
  'fan_in': "uniform of variance 1 / fan-in (Acme's SAC)",
  'he': "normal of variance 2 / fan-in, the output's 1 / fan-in",
  'torch': 'uniform of variance 1 / (3 fan-in), biases too',
  'small': "he, the output's of variance 2e-4 / fan-in",
  'small_fan_in': "fan_in, the output's of variance 1e-4 / fan-in (the agent's default)",
}
TEMPERATURE, MUNCHAUSEN, DISCOUNT = 0.01, 0.9, 0.99
LEARNING_RATE, TARGET_RATE, BATCH, WARM_UP = 3e-4, 0.005, 256, 10_000
OBSERVATIONS, ACTIONS, VALUES, HIDDEN = 17, 6, 11, 256


def init_layer(
  rng: np.random.Generator, kind: str, inputs: int, outputs: int, is_output: bool
) -> list[jax.Array]:
  """Weights [inputs, outputs] and biases [outputs] of one layer."""
  bias = np.zeros(outputs)
  if kind in ('fan_in', 'small_fan_in'):
    weights = rng.uniform(-1, 1, (inputs, outputs)) * np.sqrt(3 / inputs)
    if is_output and kind == 'small_fan_in':
      weights *= 0.01
  elif kind == 'he':
    scale = np.sqrt((1 if is_output else 2) / inputs)
    weights = rng.normal(size=(inputs, outputs)) * scale
  elif kind == 'small':
    scale = np.sqrt(2 / inputs) * (0.01 if is_output else 1)
    weights = rng.normal(size=(inputs, outputs)) * scale
  else:
    weights = rng.uniform(-1, 1, (inputs, outputs)) / np.sqrt(inputs)
    bias = rng.uniform(-1, 1, outputs) / np.sqrt(inputs)
  return [jnp.asarray(weights, jnp.float32), jnp.asarray(bias, jnp.float32)]


def init_network(
  rng: np.random.Generator, kind: str, outputs: int
) -> list[list[jax.Array]]:
  """Makes two hidden layers and a linear output."""
  sizes = [OBSERVATIONS, HIDDEN, HIDDEN, outputs]
  return [init_layer(rng, kind, sizes[i], sizes[i + 1], i == 2) for i in range(3)]


def apply(network: list[list[jax.Array]], x: jax.Array) -> jax.Array:
  """Returns the network's output, [B, O]."""
  for weights, bias in network[:-1]:
    x = jax.nn.relu(x @ weights + bias)
  weights, bias = network[-1]
  return x @ weights + bias


def log_policy(network: list[list[jax.Array]], s: jax.Array, a: jax.Array) -> jax.Array:
  """Returns log pi(a|s) of action indices [B, D], shape [B]."""
  logits = jax.nn.log_softmax(apply(network, s).reshape(-1, ACTIONS, VALUES))
  return jnp.take_along_axis(logits, a[..., None], -1)[..., 0].sum(-1)


def loss(
  params: Any, target: Any, s: Any, a: Any, r: Any, d: Any, s2: Any
) -> jax.Array:
  """Returns the loss of Eq. 2."""
  bonus = MUNCHAUSEN * TEMPERATURE * log_policy(target['pi'], s, a)
  y = r + bonus + DISCOUNT * d * apply(target['v'], s2)[:, 0]
  q = TEMPERATURE * log_policy(params['pi'], s, a) + apply(params['v'], s)[:, 0]
  return jnp.mean((jax.lax.stop_gradient(y) - q) ** 2)


@jax.jit
def update(params: Any, target: Any, m: Any, v: Any, k: jax.Array, *batch: Any) -> Any:
  """Applies Adam (m, v are its moments, k its step), then the Polyak average."""
  gradient = jax.grad(loss)(params, target, *batch)
  k = k + 1
  m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
  v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)

  def adam(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
    denominator = jnp.sqrt(v / (1 - 0.999**k)) + 1e-8
    return p - LEARNING_RATE * (m / (1 - 0.9**k)) / denominator

  params = jax.tree.map(adam, params, m, v)
  target = jax.tree.map(
    lambda t, p: (1 - TARGET_RATE) * t + TARGET_RATE * p, target, params
  )
  return params, target, m, v, k


@jax.jit
def act(params: Any, s: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns a sampled and the most likely action, as indices [D]."""
  logits = apply(params['pi'], s[None]).reshape(ACTIONS, VALUES)
  return jax.random.categorical(key, logits), jnp.argmax(logits, -1)


def evaluate(env: gymnasium.Env, policy: Any, grid: np.ndarray) -> list[float]:
  """Returns of three episodes of the mode policy."""
  returns = []
  for episode in range(3):
    s, _ = env.reset(seed=1000 + episode)
    total, done = 0.0, False
    while not done:
      s, r, terminated, truncated, _ = env.step(grid[policy(s.astype('f'))])
      total, done = total + r, terminated or truncated
    returns.append(float(total))
  return returns


def main() -> None:
  """Runs the script."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--num_steps', type=int, default=100_000)
  kinds = '; '.join(f'{name}: {what}' for name, what in INITIALISATIONS.items())
  parser.add_argument(
    '--initialisation', choices=INITIALISATIONS, default='fan_in', help=kinds
  )
  parser.add_argument('--output', required=True, help='CSV to write.')
  arguments = parser.parse_args()
  if arguments.num_steps < WARM_UP:
    parser.error(f'num_steps is {arguments.num_steps}; it must be at least {WARM_UP}.')
  size, kind = arguments.num_steps, arguments.initialisation
  rng, key = np.random.default_rng(arguments.seed), jax.random.PRNGKey(arguments.seed)
  env, evaluation_env = (gymnasium.make('HalfCheetah-v4') for _ in range(2))
  params = {
    'pi': init_network(rng, kind, ACTIONS * VALUES),
    'v': init_network(rng, kind, 1),
  }
  zeros = functools.partial(jax.tree.map, jnp.zeros_like)
  learner = (params, params, zeros(params), zeros(params), jnp.zeros(()))
  replay = [
    np.empty((size, OBSERVATIONS), 'f'),
    np.empty((size, ACTIONS), 'i4'),
    np.empty(size, 'f'),
    np.empty(size, 'f'),
    np.empty((size, OBSERVATIONS), 'f'),
  ]
  grid = np.linspace(-1, 1, VALUES)
  s, _ = env.reset(seed=arguments.seed)
  with open(arguments.output, 'w', newline='') as file:
    rows = csv.writer(file)
    rows.writerow(['actor_steps', *(f'mode_return_{i}' for i in range(3))])
    for i in range(size):
      if i < WARM_UP:
        a = rng.integers(0, VALUES, ACTIONS)
      else:
        key, action_key = jax.random.split(key)
        a = np.asarray(act(learner[0], s.astype('f'), action_key)[0])
      s2, r, terminated, truncated, _ = env.step(grid[a])
      for column, value in zip(replay, (s, a, r, 1 - terminated, s2)):
        column[i] = value
      s = env.reset()[0] if terminated or truncated else s2
      if i + 1 > WARM_UP:
        index = rng.integers(0, i + 1, BATCH)
        learner = update(*learner, *(column[index] for column in replay))
      if (i + 1) % 10_000 == 0:
        current, fixed_key = learner[0], key
        returns = evaluate(
          evaluation_env,
          lambda s, p=current, k=fixed_key: np.asarray(act(p, s, k)[1]),
          grid,
        )
        rows.writerow([i + 1, *returns])
        file.flush()
        print(i + 1, np.round(returns))


if __name__ == '__main__':
  main()
