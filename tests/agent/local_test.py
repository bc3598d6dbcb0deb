"""The local agent: when it explores, when it learns, and how it ends."""

import contextlib
import dataclasses
import os
import pathlib
import socket
import threading
import time

import acme
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reverb
from acme.testing import fakes
from acme.utils import counting
from tiny_environments import (
  MARKER,
  REPLAYS,
  Driver,
  NumberedEnvironment,
  marked_networks,
  spec_of,
  tiny_config,
)

from iq_acme import make_networks, update
from iq_acme.agent.builder import IQBuilder

SPEC = spec_of(NumberedEnvironment())


@pytest.fixture
def sampled(monkeypatch):
  """What every agent's learner gets: a list of batches of transitions, in order."""
  batches = []
  original = IQBuilder.make_dataset_iterator

  def recorded(self, *args, **kwargs):
    for sample in original(self, *args, **kwargs):
      transitions = self.replay.packing.unpack_in_update(sample.data)
      batches.append(jax.device_get(transitions))
      yield sample

  monkeypatch.setattr(IQBuilder, 'make_dataset_iterator', recorded)
  return batches


def recording_traces(networks, traced, monkeypatch):
  """Networks whose policy, and an update that, say each time that they are traced."""
  sample, sgd_steps = networks.policy.sample, update.sgd_steps

  def traced_sample(*args):
    traced.append('acting')
    return sample(*args)

  def traced_steps(*args, **kwargs):
    traced.append('learning')
    return sgd_steps(*args, **kwargs)

  monkeypatch.setattr(update, 'sgd_steps', traced_steps)
  policy = dataclasses.replace(networks.policy, sample=traced_sample)
  return dataclasses.replace(networks, policy=policy)


def all_finite(tree):
  return all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(tree))


def test_everything_but_the_spec_has_a_default(make_agent):
  environment = fakes.ContinuousEnvironment(
    bounded=True, action_dim=3, observation_dim=2, episode_length=12
  )
  agent = make_agent(spec_of(environment), config=None)
  loop = acme.EnvironmentLoop(environment, agent)
  assert loop.run_episode()['episode_length'] == 12
  assert (agent.actor_steps, agent.learner_steps) == (12, 0)
  assert agent.learning_starts == 10_000


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_learns_in_acmes_environment_loop(make_agent, dtype, monkeypatch):
  environment = fakes.ContinuousEnvironment(
    bounded=True, dtype=dtype, reward_dtype=dtype, episode_length=15
  )
  counter = counting.Counter()
  config, traced = tiny_config(), []
  networks = make_networks(spec_of(environment), config)
  agent = make_agent(
    spec_of(environment),
    config=config,
    networks=recording_traces(networks, traced, monkeypatch),
    counter=counter,
  )
  loop = acme.EnvironmentLoop(
    environment, agent, counting.Counter(counter, 'actor', time_delta=0.0)
  )
  for _ in range(2):
    loop.run_episode()
  assert (agent.actor_steps, agent.learner_steps) == (30, 10)
  counts = counter.get_counts()
  assert counts['actor_steps'] == 30
  assert counts['learner_steps'] == 10
  assert sorted(traced) == ['acting', 'learning']  # Each is compiled once.


@pytest.mark.parametrize(
  ('overrides', 'expected'),
  [
    ({}, lambda t: t - 20),
    ({'replay': 'table'}, lambda t: t - 20),
    ({'samples_per_insert': 4.0}, lambda t: (t - 20) // 2),
    ({'samples_per_insert': 16.0}, lambda t: 2 * (t - 20)),
    ({'num_sgd_steps_per_step': 4}, lambda t: (t - 20) // 4 * 4),
  ],
  ids=['default', 'table', 'ratio 0.5', 'ratio 2', '4 a step'],
)
def test_sgd_steps_are_exactly_those_that_are_due(make_agent, overrides, expected):
  agent = make_agent(config=tiny_config(**overrides))
  taken = []

  def count():
    assert agent.learner_steps == int(agent.learner.state.steps)
    taken.append(agent.learner_steps)

  Driver(NumberedEnvironment(), agent).run(50, count)
  assert taken == [0] * 20 + [expected(t) for t in range(21, 51)]
  assert agent.actor_steps == agent.counter.get_counts()['actor_steps'] == 50
  assert agent.counter.get_counts()['learner_steps'] == taken[-1]


def test_the_first_action_of_the_policy_comes_right_after_the_warm_up(make_agent):
  config = tiny_config()
  agent = make_agent(networks=marked_networks(SPEC, config), config=config)
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(40)
  actions = [float(action[0]) for action in driver.actions]
  assert set(actions[:20]) <= {-1.0, 0.0, 1.0, 2.0, 3.0}
  assert len(set(actions[:20])) > 1
  assert actions[20:] == [MARKER] * 20


@pytest.mark.parametrize('kind', REPLAYS)
def test_the_first_batch_comes_from_the_whole_replay(make_agent, sampled, kind):
  config = tiny_config(batch_size=64, min_replay_size=64, replay=kind)
  agent = make_agent(config=config)
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(64)
  assert sampled == []
  driver.run(1)
  (batch,) = sampled
  numbers = batch.observation[:, 1]
  # Each bound fails for one uniform draw of 64 in 10^8.
  assert numbers.min() < 16
  assert numbers.max() >= 48
  assert len(set(numbers)) > 16


@pytest.mark.parametrize('kind', REPLAYS)
def test_what_is_sampled_is_what_happened(make_agent, sampled, kind):
  environment = NumberedEnvironment(reward_fn=lambda n: n / 3)
  agent = make_agent(config=tiny_config(replay=kind))
  Driver(environment, agent).run(60)
  assert len(sampled) == 40
  for batch in sampled:
    for transition in zip(*batch):
      number = int(transition[0][1])
      for ours, theirs in zip(transition, environment.transitions[number]):
        np.testing.assert_array_equal(ours, theirs)


def test_statistics_of_observations_grow_by_sampled_batches_only(make_agent, sampled):
  agent = make_agent(config=tiny_config(normalize_observations=True))
  driver = Driver(NumberedEnvironment(), agent)

  def check():
    statistics = agent.policy_variables().normalizer
    assert float(statistics.count) == 8 * agent.learner_steps

  driver.run(35, check)
  observations = np.concatenate([batch.observation for batch in sampled])
  statistics = agent.policy_variables().normalizer
  assert len(observations) == 8 * 15
  np.testing.assert_allclose(statistics.mean, observations.mean(0), rtol=1e-4)
  np.testing.assert_allclose(statistics.variance, observations.var(0), rtol=1e-3)


@pytest.mark.parametrize(
  'overrides',
  [
    {'policy_family': 'gaussian'},
    {'policy_family': 'autoregressive', 'temperature': 1.0},
    {'value_bootstrap': 'online', 'munchausen_coefficient': 0.0},
    {'n_step': 3, 'scale_logits_by_temperature': True},
    {'separate_value': False, 'scale_logits_by_temperature': True, 'num_pairs': 2},
    {'num_q_networks': 2, 'separate_value': False, 'scale_logits_by_temperature': True},
  ],
  ids=lambda overrides: next(iter(overrides)),
)
def test_other_configurations_learn_too(make_agent, overrides):
  environment = NumberedEnvironment(action_dim=2, reward_fn=lambda n: n % 3)
  agent = make_agent(spec_of(environment), config=tiny_config(**overrides))
  before = jax.device_get(agent.learner.state.params)
  Driver(environment, agent).run(40)
  after = jax.device_get(agent.learner.state.params)
  assert agent.learner_steps == 20
  assert all_finite(after)
  for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after)):
    assert np.any(old != new)


def test_the_seed_draws_parameters_and_exploration(make_agent):
  starts = []
  for seed in (5, 5, 6):
    agent = make_agent(seed=seed)
    driver = Driver(NumberedEnvironment(), agent)
    driver.run(15)
    params = jax.tree.leaves(jax.device_get(agent.learner.state.params))
    starts.append(
      (np.array(driver.actions), np.concatenate([p.ravel() for p in params]))
    )
  for same, other in zip(starts[0], starts[1]):
    np.testing.assert_array_equal(same, other)
  for same, other in zip(starts[0], starts[2]):
    assert np.any(same != other)


def test_evaluation_actors_follow_the_learner_and_never_explore(make_agent):
  config = tiny_config()
  networks = marked_networks(SPEC, config)
  agent = make_agent(networks=networks, config=config)
  actor = agent.make_evaluation_actor(deterministic=False)
  assert actor.select_action(np.zeros(2, np.float32)) == MARKER
  by_mode = agent.make_evaluation_actor(deterministic=True)
  observation = np.array([0.3, 0.7], np.float32)
  params = agent.policy_variables().params
  (expected,) = networks.policy.mode(params, jnp.asarray(observation)[None])
  assert all(by_mode.select_action(observation) == expected for _ in range(5))
  assert agent.replay_size() == 0


def num_threads():
  """Of this process, those of C++ included but for gRPC's pool.

  That pool is the process's, grows up to twice the number of cores, and stays.
  """
  names = []
  for thread in os.listdir('/proc/self/task'):
    with contextlib.suppress(FileNotFoundError):  # It may end meanwhile.
      names.append(pathlib.Path(f'/proc/self/task/{thread}/comm').read_text().strip())
  return len(names) - names.count('default-executo')


@pytest.mark.parametrize('kind', REPLAYS)
def test_a_closed_agent_leaves_no_threads_and_no_server(make_agent, kind, monkeypatch):
  ports = []
  make_server = reverb.Server

  def recorded(*args, **kwargs):
    server = make_server(*args, **kwargs)
    ports.append(server.port)
    return server

  monkeypatch.setattr(reverb, 'Server', recorded)
  threads = set(threading.enumerate())

  def make_and_close(num_agents):
    for _ in range(num_agents):
      agent = make_agent(config=tiny_config(replay=kind))
      Driver(NumberedEnvironment(), agent).run(25)
      socket.create_connection(('localhost', ports[-1])).close()
      for _ in range(2):
        agent.close()
      assert (agent.actor_steps, agent.learner_steps) == (25, 5)
      assert set(threading.enumerate()) <= threads
      with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('localhost', ports[-1]))
    return num_threads()

  # Libraries' pools stay, and may still grow by a thread or two; what each agent left
  # behind would be as many threads as there are agents.
  before, num_agents = make_and_close(2), 5
  after = make_and_close(num_agents)
  deadline = time.monotonic() + 60  # TensorFlow ends its threads in its own time.
  while num_threads() >= before + num_agents and time.monotonic() < deadline:
    time.sleep(0.1)
  assert num_threads() < before + num_agents, (before, after)


def test_the_config_of_the_caller_is_left_as_it_was(make_agent):
  config = tiny_config()
  before = dataclasses.asdict(config)
  Driver(NumberedEnvironment(), make_agent(config=config)).run(22)
  assert dataclasses.asdict(config) == before
