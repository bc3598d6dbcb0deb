"""The way from actor to update: same samples, same updates, whichever way they go."""

import types

import jax
import numpy as np
import pytest
from tiny_environments import Driver, NumberedEnvironment, spec_of, tiny_config
from tiny_learners import as_bytes

from iq_acme import make_iq_agent, make_networks
from iq_acme.agent.learner import IQLearner
from iq_acme.transitions import TransitionPacking
from iq_acme.update import Transition

SPEC = spec_of(NumberedEnvironment())


@pytest.fixture
def make_agent():
  """Makes agents, and closes them after the test."""
  agents = []

  def make(**kwargs):
    agents.append(make_iq_agent(SPEC, **kwargs))
    return agents[-1]

  yield make
  for agent in agents:
    agent.close()


def test_packed_batches_give_the_updates_of_separate_columns():
  config = tiny_config()
  networks = make_networks(SPEC, config)
  packing = TransitionPacking(SPEC)
  rng = np.random.default_rng(0)
  stream = []
  for _ in range(30):
    stream.append(
      Transition(
        rng.normal(size=(8, 2)).astype(np.float32),
        rng.uniform(-1, 3, (8, 1)).astype(np.float32),
        rng.normal(size=8).astype(np.float32),
        rng.integers(0, 2, 8).astype(np.float32),
        rng.normal(size=(8, 2)).astype(np.float32),
      )
    )

  def rows_of(batch):
    return np.stack([packing.pack(Transition(*row)) for row in zip(*batch)])

  columns = (types.SimpleNamespace(data=(*batch, ())) for batch in stream)
  packed = (
    types.SimpleNamespace(data=packing.unpack_on_host(rows_of(batch)))
    for batch in stream
  )
  key = jax.random.PRNGKey(0)
  old = IQLearner(networks, config, key, columns)
  new = IQLearner(networks, config, key, packed, unpack=packing.unpack_in_update)
  start = as_bytes(old.state)
  for _ in stream:
    old.step()
    new.step()
    # Not to the bit: two programs that XLA compiles apart may round differently, and on
    # some processors these do.
    for one, other in zip(jax.tree.leaves(old.state), jax.tree.leaves(new.state)):
      np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
  assert as_bytes(old.state) != start


def test_a_seed_determines_a_whole_run_with_the_resident_ring(make_agent):
  states, actions = [], []
  for seed in (5, 5, 6):
    agent = make_agent(config=tiny_config(), seed=seed)
    driver = Driver(NumberedEnvironment(), agent)
    driver.run(120)
    assert agent.learner_steps == 100
    states.append(as_bytes(agent.learner.save()))
    actions.append(np.stack(driver.actions))
  assert states[0] == states[1] != states[2]
  np.testing.assert_array_equal(actions[0], actions[1])


def test_a_group_is_taken_in_once_four_transitions_have_followed_it(make_agent):
  agent = make_agent(config=tiny_config(min_replay_size=24))
  sizes = []

  def append():  # What is in the ring, without what is on its way there.
    sizes.append(agent.replay.size - agent.replay.num_in_flight)

  Driver(NumberedEnvironment(), agent).run(24 + 16, append)
  # The first batch, after step 25, takes in all there is. The next eight are sent with
  # step 33, and step 37 is the fourth that follows them.
  assert sizes[24:] == [25] * 12 + [33] * 4
  assert agent.replay_size() == 40


def test_asking_for_the_size_of_replay_changes_nothing(make_agent):
  states, sizes = [], []
  for asks in (False, True):
    agent = make_agent(config=tiny_config(max_replay_size=50))
    ask = lambda agent=agent: sizes.append(agent.replay_size())  # noqa: E731
    Driver(NumberedEnvironment(), agent).run(75, ask if asks else None)
    states.append(as_bytes(agent.learner.save()))
  assert states[0] == states[1]
  assert sizes == [*range(1, 51), *[50] * 25]
