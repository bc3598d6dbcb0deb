"""What each row of the benchmark does: a set-up, then windows of counted work.

A row is a generator function: everything before its first `yield` is set-up and
warm-up; then each `seconds` that it is sent makes it work for about so long, and
yield how many units of work that was.
"""

import time
from collections.abc import Callable
from typing import Any

from experiments.benchmark import population
from experiments.benchmark.tasks import (
  BATCH_SIZE,
  HIDDEN,
  Row,
  environment_and_spec,
  fill,
  windows,
)
from experiments.benchmark.update import (
  adam_and_polyak,
  bare_update,
  gemm_bound,
  gradient,
)

# Instead of the default 10,000, so that a row is warm within seconds.
MIN_REPLAY_SIZE = 1_000
FILLED = 20_000
# Of `pool_step`.
NUM_ENVIRONMENTS = 16


def _update_from_replay(env_name: str, kind: str) -> Row:
  """Runs `IQLearner.step` on batches of a Reverb server; nobody acts or inserts."""
  _, spec = environment_and_spec(env_name)
  import jax
  import reverb

  from iq_acme import IQBuilder, IQConfig, make_networks
  from iq_acme.compat import loopback

  config = IQConfig(replay=kind, min_replay_size=FILLED)
  builder = IQBuilder(config, spec, single_threaded=True)
  server = reverb.Server(builder.make_replay_tables(spec))
  loopback.confine(server.port)
  client = reverb.Client(f'localhost:{server.port}')
  adder = builder.make_adder(client)
  fill(adder, spec, FILLED)
  learner = builder.make_learner(
    jax.random.PRNGKey(0),
    make_networks(spec, config),
    builder.make_dataset_iterator(client),
    client,
  )
  steps = windows(learner.step, lambda: jax.block_until_ready(learner.state))
  yield from _keeping(steps, server, adder)


def _keeping(row: Row, *_: Any) -> Row:
  """Keeps objects alive for as long as a row runs."""
  return (yield from row)


def acting(env_name: str) -> Row:
  """Takes one action from the behaviour policy, its variables in the same process."""
  environment, spec = environment_and_spec(env_name)
  import jax
  import numpy as np

  from iq_acme import IQConfig, IQLearner, acting, make_networks
  from iq_acme.agent.actor import IQActor

  config = IQConfig()
  networks = make_networks(spec, config)
  learner = IQLearner(networks, config, jax.random.PRNGKey(0), iter(()))
  policy = acting.make_behavior_policy(networks)
  actor = IQActor(policy, spec, jax.random.PRNGKey(1), learner)
  observation = np.asarray(environment.reset().observation)
  return windows(lambda: actor.select_action(observation))


def env_step(env_name: str) -> Row:
  """Steps the environment alone under random actions, resets included."""
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

  return windows(step)


def pool_step(env_name: str) -> Row:
  """Steps 16 environments in a population's pool; its count is of all their steps.

  One after the other they are as fast as `env_step`. CPU and memory are those of this
  process alone, without the pool's workers.
  """
  import functools

  import numpy as np

  from iq_acme import make_environment
  from iq_acme.population.environment_pool import EnvironmentPool

  with EnvironmentPool(functools.partial(make_environment, env_name)) as pool:
    batch = pool.open(range(NUM_ENVIRONMENTS))
    rng, spec = np.random.default_rng(0), pool.environment_spec.actions
    shape = (NUM_ENVIRONMENTS, *spec.shape)

    def step() -> None:
      batch.send(rng.uniform(spec.minimum, spec.maximum, shape))
      if failures := batch.receive().failures:
        raise RuntimeError(next(iter(failures.values())))

    steps = windows(step)
    count = next(steps)
    while True:
      seconds = yield count
      count = NUM_ENVIRONMENTS * steps.send(seconds)


def _episodes(environment: Any, agent: Any) -> Row:
  """Runs Acme's environment loop, an episode at a time; its count is of steps."""
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
  """Runs the whole agent in Acme's environment loop, learning at every step."""
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
  """Makes the parts of Acme's SAC with our batch and networks; it acts in [-1, 1]."""
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
  """Starts a row once so many steps are done."""
  next(episodes)
  done = count = 0
  while done < num_steps:
    done += episodes.send(0.5)
  while True:
    seconds = yield count
    count = episodes.send(seconds)


def acme_sac(env_name: str) -> Row:
  """Runs Acme's SAC as it ships, in its own local layout."""
  environment, spec, networks, config = _sac_parts(env_name)
  from acme.agents.jax import sac

  agent = sac.SAC(spec, networks, config, seed=0, normalize_input=False)
  return _warmed(_episodes(environment, agent), MIN_REPLAY_SIZE + 500)


def acme_sac_our_replay(env_name: str) -> Row:
  """Runs Acme's SAC learner, actor and networks on this package's replay and agent."""
  environment, spec, networks, config = _sac_parts(env_name)
  from acme.agents.jax import sac

  from iq_acme.agent.local import LocalAgent
  from iq_acme.agent.local_settings import LocalSettings
  from iq_acme.baselines.sac.builder import ResidentSACBuilder

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
  'pool_step': pool_step,
  'default_agent': _local_agent,
  'local_table': lambda env_name: _local_agent(env_name, replay='table'),
  'local_resident': lambda env_name: _local_agent(env_name, replay='resident'),
  'acme_sac': acme_sac,
  'acme_sac_our_replay': acme_sac_our_replay,
  **population.rows((1, 2, 4)),
}
# Rows that are timed only if they are named; those of a population are for an accelerator.
MORE_ROWS = {
  **population.rows((16, 64)),
  'autoregressive_update': lambda env_name: bare_update(
    env_name, policy_family='autoregressive'
  ),
}
