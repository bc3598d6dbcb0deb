"""What each row of the benchmark does: a set-up, then windows of counted work.

A row is a generator function: everything before its first `yield` is set-up and
warm-up; then each `seconds` that it is sent makes it work for about so long, and
yield how many units of work that was.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

BATCH_SIZE = 256
HIDDEN = 256
# Instead of the default 10,000, so that a row is warm within seconds.
MIN_REPLAY_SIZE = 1_000
FILLED = 20_000
_EPISODE_LENGTH = 1_000

Row = Generator[int, float, None]


def _windows(step: Callable[[], Any], sync: Callable[[], Any] = lambda: None) -> Row:
  """Repeats a step until the time is up, and waits for the device at the end."""
  count = 0
  while True:
    seconds = yield count
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
      step()
      count += 1
    sync()


def environment_and_spec(env_name: str) -> tuple[Any, Any]:
  """An environment, and its `acme.specs.EnvironmentSpec`."""
  from iq_acme import _acme_compat, make_environment  # noqa: F401, I001
  from acme import specs

  environment = make_environment(env_name, 0)
  return environment, specs.make_environment_spec(environment)


def _random_transitions(spec: Any, size: int) -> Any:
  import numpy as np

  from iq_acme.update import Transition

  rng = np.random.default_rng(0)
  shape = (size, *spec.observations.shape)
  actions = rng.uniform(
    spec.actions.minimum, spec.actions.maximum, (size, *spec.actions.shape)
  )
  return Transition(
    rng.normal(size=shape).astype(np.float32),
    actions.astype(np.float32),
    rng.normal(size=size).astype(np.float32),
    np.ones(size, np.float32),
    rng.normal(size=shape).astype(np.float32),
  )


def update_products(
  spec: Any, num_action_values: int = 11
) -> list[tuple[int, int, int]]:
  """The matrix products [m, k] @ [k, n] that one update cannot do without.

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
  """Only the matrix products of an update, as one jitted function."""
  _, spec = environment_and_spec(env_name)
  import jax

  shapes = update_products(spec)
  keys = jax.random.split(jax.random.PRNGKey(0), len(shapes))
  pairs = [
    (jax.random.normal(key, (m, k)), jax.random.normal(key, (k, n)))
    for key, (m, k, n) in zip(keys, shapes)
  ]
  products = jax.jit(lambda pairs: [a @ b for a, b in pairs])
  return _windows(lambda: jax.block_until_ready(products(pairs)))


def _update_parts(env_name: str) -> tuple[Any, ...]:
  """The fresh agent's networks, config and state, and a batch on the device."""
  _, spec = environment_and_spec(env_name)
  import jax

  from iq_acme import IQConfig, make_networks, update

  config = IQConfig()
  networks = make_networks(spec, config)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  batch = jax.device_put(_random_transitions(spec, BATCH_SIZE))
  return networks, config, state, batch


def bare_update(env_name: str) -> Row:
  """`update.sgd_steps` on one batch that is on the device already."""
  networks, config, state, batch = _update_parts(env_name)
  import functools

  import jax

  from iq_acme import update

  state = [state]
  step = jax.jit(functools.partial(update.sgd_steps, networks=networks, config=config))

  def run() -> None:
    state[0] = step(state[0], batch)[0]

  return _windows(run, lambda: jax.block_until_ready(state[0]))


def gradient(env_name: str) -> Row:
  """Of a bare update: the loss, its gradient and its metrics."""
  networks, config, state, batch = _update_parts(env_name)
  import functools

  import jax

  from iq_acme import update

  loss = functools.partial(update.batch_loss, networks=networks, config=config)
  step = jax.jit(jax.grad(loss, has_aux=True))
  return _windows(
    lambda: jax.block_until_ready(step(state.params, state.target_params, batch))
  )


def adam_and_polyak(env_name: str) -> Row:
  """Of a bare update: Adam, the gradient's norm, and the Polyak average."""
  _, config, state, _ = _update_parts(env_name)
  import jax
  import optax

  from iq_acme import update

  optimizer = update.make_optimizer(config)

  @jax.jit
  def step(gradient: Any, state: Any) -> Any:
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state)
    params = optax.apply_updates(state.params, updates)
    target_params = optax.incremental_update(
      params, state.target_params, config.target_update_rate
    )
    return params, target_params, optimizer_state, optax.tree.norm(gradient)

  # Any tree of their shape does for a gradient.
  return _windows(lambda: jax.block_until_ready(step(state.params, state)))


def _update_from_replay(env_name: str, kind: str) -> Row:
  """`IQLearner.step` on batches of a Reverb server; nobody acts or inserts."""
  _, spec = environment_and_spec(env_name)
  import jax
  import reverb

  from iq_acme import IQBuilder, IQConfig, make_networks

  config = IQConfig(replay=kind, min_replay_size=FILLED)
  builder = IQBuilder(config, spec, rate_limiter='min_size', drain='inline')
  server = reverb.Server(builder.make_replay_tables(spec))
  client = reverb.Client(f'localhost:{server.port}')
  adder = builder.make_adder(client)
  fill(adder, spec, FILLED)
  learner = builder.make_learner(
    jax.random.PRNGKey(0),
    make_networks(spec, config),
    builder.make_dataset_iterator(client),
    client,
  )
  windows = _windows(learner.step, lambda: jax.block_until_ready(learner.state))
  yield from _keeping(windows, server, adder)


def fill(adder: Any, spec: Any, num_transitions: int) -> None:
  """Adds episodes of random transitions of a task's shapes.

  Args:
    adder: an `acme.adders.Adder`.
    spec: an `acme.specs.EnvironmentSpec`.
    num_transitions: how many; those of each thousand are the same thousand.
  """
  import dm_env
  import numpy as np

  data = _random_transitions(spec, _EPISODE_LENGTH)
  for i in range(num_transitions):
    i %= _EPISODE_LENGTH
    if i == 0:
      adder.add_first(dm_env.restart(data.observation[i]))
    last = i == _EPISODE_LENGTH - 1
    timestep = dm_env.TimeStep(
      dm_env.StepType.LAST if last else dm_env.StepType.MID,
      data.reward[i],
      np.float32(1),
      data.next_observation[i],
    )
    adder.add(data.action[i], timestep)


def _keeping(windows: Row, *_: Any) -> Row:
  """Keeps objects alive for as long as a row runs."""
  return (yield from windows)


def acting(env_name: str) -> Row:
  """One action from the behaviour policy, its variables in the same process."""
  environment, spec = environment_and_spec(env_name)
  import jax
  import numpy as np

  from iq_acme import IQConfig, IQLearner, acting, make_networks
  from iq_acme.actors import IQActor

  config = IQConfig()
  networks = make_networks(spec, config)
  learner = IQLearner(networks, config, jax.random.PRNGKey(0), iter(()))
  policy = acting.make_behavior_policy(networks)
  actor = IQActor(policy, spec, jax.random.PRNGKey(1), learner)
  observation = np.asarray(environment.reset().observation)
  return _windows(lambda: actor.select_action(observation))


def env_step(env_name: str) -> Row:
  """The environment alone under random actions, resets included."""
  environment, spec = environment_and_spec(env_name)
  import numpy as np

  rng = np.random.default_rng(0)
  low, high = spec.actions.minimum, spec.actions.maximum
  state = [environment.reset()]

  def step() -> None:
    if state[0].last():
      state[0] = environment.reset()
    else:
      action = rng.uniform(low, high, spec.actions.shape).astype(np.float32)
      state[0] = environment.step(action)

  return _windows(step)


def _episodes(environment: Any, agent: Any) -> Row:
  """Acme's environment loop, an episode at a time; its count is of steps."""
  from acme import EnvironmentLoop
  from acme.utils import loggers

  loop = EnvironmentLoop(environment, agent, logger=loggers.NoOpLogger())
  count = 0
  while True:
    seconds = yield count
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
      count += loop.run_episode()['episode_length']


def _local_agent(env_name: str, **overrides: Any) -> Row:
  """The whole agent in Acme's environment loop, learning at every step."""
  environment, spec = environment_and_spec(env_name)
  from iq_acme import IQConfig, make_iq_agent

  config = IQConfig(min_replay_size=MIN_REPLAY_SIZE, **overrides)
  agent = make_iq_agent(spec, config=config)
  episodes = _episodes(environment, agent)
  next(episodes)
  while agent.learner_steps < 500:
    episodes.send(0.5)
  count = 0
  while True:
    seconds = yield count
    count = episodes.send(seconds)
    if agent.learner_steps != agent.actor_steps - MIN_REPLAY_SIZE:
      raise AssertionError(
        f'{agent.learner_steps} SGD steps after {agent.actor_steps} environment steps'
      )


def _sac_parts(env_name: str) -> tuple[Any, Any, Any, Any]:
  """Acme's SAC with our batch and networks; it acts in [-1, 1]."""
  environment, _ = environment_and_spec(env_name)
  from acme import specs, wrappers
  from acme.agents.jax import sac

  environment = wrappers.CanonicalSpecWrapper(environment, clip=True)
  spec = specs.make_environment_spec(environment)
  networks = sac.make_networks(spec, hidden_layer_sizes=(HIDDEN, HIDDEN))
  config = sac.SACConfig(
    batch_size=BATCH_SIZE,
    samples_per_insert=BATCH_SIZE,
    min_replay_size=MIN_REPLAY_SIZE,
    target_entropy=sac.target_entropy_from_env_spec(spec),
  )
  return environment, spec, networks, config


def _warmed(episodes: Row, num_steps: int) -> Row:
  """A row that starts once so many steps are done."""
  next(episodes)
  done = count = 0
  while done < num_steps:
    done += episodes.send(0.5)
  while True:
    seconds = yield count
    count = episodes.send(seconds)


def acme_sac(env_name: str) -> Row:
  """Acme's SAC as it ships, in its own local layout."""
  environment, spec, networks, config = _sac_parts(env_name)
  from acme.agents.jax import sac

  agent = sac.SAC(spec, networks, config, seed=0, normalize_input=False)
  return _warmed(_episodes(environment, agent), MIN_REPLAY_SIZE + 500)


def acme_sac_our_replay(env_name: str) -> Row:
  """Acme's SAC learner, actor and networks on this package's replay and agent."""
  environment, spec, networks, config = _sac_parts(env_name)
  from acme.agents.jax import sac

  from experiments.sac_builder import ResidentSACBuilder
  from iq_acme.local_agent import LocalAgent, LocalSettings

  settings = LocalSettings(
    batch_size=BATCH_SIZE,
    min_replay_size=MIN_REPLAY_SIZE,
    samples_per_step=BATCH_SIZE,
  )
  agent = LocalAgent(
    ResidentSACBuilder(config, spec),
    networks,
    sac.apply_policy_and_sample(networks),
    spec,
    settings,
  )
  return _warmed(_episodes(environment, agent), MIN_REPLAY_SIZE + 500)


ROWS: dict[str, Callable[[str], Row]] = {
  'gemm_bound': gemm_bound,
  'bare_update': bare_update,
  'gradient': gradient,
  'adam_and_polyak': adam_and_polyak,
  'update_table': lambda env_name: _update_from_replay(env_name, 'table'),
  'update_resident': lambda env_name: _update_from_replay(env_name, 'resident'),
  'acting': acting,
  'env_step': env_step,
  'default_agent': _local_agent,
  'local_table': lambda env_name: _local_agent(env_name, replay='table'),
  'local_resident': lambda env_name: _local_agent(env_name, replay='resident'),
  'acme_sac': acme_sac,
  'acme_sac_our_replay': acme_sac_our_replay,
}
