"""A local agent whose replay begins with transitions from elsewhere."""

import numpy as np
import pytest
from tiny_agents import SPEC, agents_in, steps_in_replay
from tiny_environments import MARKER, REPLAYS, Driver, NumberedEnvironment, tiny_config
from tiny_learners import as_bytes

from iq_acme.transitions import Transition

# Its steps have numbers that the environment's have not.
FIRST = 5000


def demonstrations(count):
  numbers = np.arange(FIRST, FIRST + count, dtype=np.float32)
  zeros = np.zeros(count, np.float32)
  return Transition(
    observation=np.stack([zeros, numbers], 1),
    action=np.full((count, 1), 0.3, np.float32),
    reward=zeros,
    discount=zeros + 1,
    next_observation=np.stack([zeros, numbers + 1], 1),
  )


@pytest.fixture
def make_agent(tmp_path):
  with agents_in(tmp_path) as make:
    yield make


@pytest.mark.parametrize('kind', REPLAYS)
@pytest.mark.parametrize(('count', 'num_uniform'), [(15, 5), (20, 0), (30, 0)])
def test_they_count_for_the_size_from_which_replay_is_sampled(
  make_agent, kind, count, num_uniform
):
  config = tiny_config(replay=kind)
  agent = make_agent(config, demonstrations=demonstrations(count))
  assert agent.replay_size() == count
  assert agent.learning_starts == num_uniform
  driver = Driver(NumberedEnvironment(), agent)
  taken = []
  driver.run(12, lambda: taken.append(agent.learner_steps))
  assert taken == [max(0, step - num_uniform) for step in range(1, 13)]
  uniform = [float(action[0]) != MARKER for action in driver.actions]
  assert uniform == [step < num_uniform for step in range(12)]
  agent.save()
  found = steps_in_replay(agent)
  assert found == {*range(FIRST, FIRST + count), *range(12)}


@pytest.mark.parametrize('kind', REPLAYS)
def test_a_resumed_run_has_them_once(make_agent, kind):
  config = tiny_config(replay=kind)
  agent = make_agent(config, demonstrations=demonstrations(30))
  Driver(NumberedEnvironment(), agent).run(10)
  agent.save()
  agent = make_agent(config, demonstrations=demonstrations(30))
  assert (agent.actor_steps, agent.learner_steps, agent.replay_size()) == (10, 10, 40)
  Driver(NumberedEnvironment(), agent).run(5)
  assert agent.learner_steps == 15


@pytest.mark.parametrize('kind', REPLAYS)
def test_where_a_checkpoint_leaves_replay_out_they_begin_it_again(make_agent, kind):
  config = tiny_config(replay=kind)
  for resumes in range(2):
    agent = make_agent(
      config, demonstrations=demonstrations(15), checkpoint_replay=False
    )
    assert agent.replay_size() == 15
    assert agent.actor_steps == 30 * resumes
    driver = Driver(NumberedEnvironment(), agent)
    taken = []
    driver.run(30, lambda a=agent, t=taken: t.append(a.learner_steps))
    # Five steps fill replay to the 20 that it takes, at first and again.
    before = 25 * resumes
    assert taken == [before + max(0, step - 5) for step in range(1, 31)]
    agent.save()
  assert all(float(action[0]) == MARKER for action in driver.actions)


@pytest.mark.parametrize('kind', REPLAYS)
def test_more_than_replay_holds_are_refused(make_agent, kind):
  config = tiny_config(replay=kind, max_replay_size=25)
  with pytest.raises(ValueError, match=r'max_replay_size is 25; .* at least 26'):
    make_agent(config, demonstrations=demonstrations(26))


def run_offline(agent, num_sgd_steps):
  while agent.learner_steps < num_sgd_steps:
    agent.learn_offline()


def test_an_interrupted_offline_run_ends_as_an_uninterrupted_one(tmp_path):
  config = tiny_config(num_sgd_steps_per_step=2)
  with agents_in(tmp_path / 'whole') as make:
    whole = make(config, demonstrations=demonstrations(40))
    run_offline(whole, 20)
    expected = as_bytes(whole.learner.state)
  with agents_in(tmp_path / 'interrupted') as make:
    agent = make(config, demonstrations=demonstrations(40))
    run_offline(agent, 12)
    first = agent.save()
    run_offline(agent, 16)  # Lost.
    agent = make(config, demonstrations=demonstrations(40))
    assert agent.restored_from == first.path
    assert (agent.actor_steps, agent.learner_steps, agent.replay_size()) == (0, 12, 40)
    run_offline(agent, 20)
    assert as_bytes(agent.learner.state) == expected
    # Named by the SGD steps, so that the newest is found and the one before kept.
    assert agent.save().actor_steps == 20
    assert first.actor_steps == 12
    assert make(config, demonstrations=demonstrations(40)).learner_steps == 20


def test_environment_steps_after_offline_ones_pay_for_their_own_alone(make_agent):
  agent = make_agent(tiny_config(), demonstrations=demonstrations(40))
  run_offline(agent, 30)
  agent.save()
  Driver(NumberedEnvironment(), agent).run(10)
  assert agent.learner_steps == 40
  assert agent.save().actor_steps == 40
  agent = make_agent(tiny_config(), demonstrations=demonstrations(40))
  assert (agent.actor_steps, agent.learner_steps) == (10, 40)
  Driver(NumberedEnvironment(), agent).run(5)
  assert agent.learner_steps == 45


def test_a_builder_that_keeps_its_replay_to_itself_is_refused():
  from acme.agents.jax import sac

  from iq_acme.agent.local import LocalAgent
  from iq_acme.agent.local_settings import LocalSettings

  networks = sac.make_networks(SPEC, (8,))
  with pytest.raises(ValueError, match='demonstrations are given, but this builder'):
    LocalAgent(
      sac.SACBuilder(sac.SACConfig(min_replay_size=20, batch_size=8)),
      networks,
      sac.apply_policy_and_sample(networks),
      SPEC,
      LocalSettings(batch_size=8, min_replay_size=20, samples_per_step=8),
      demonstrations=demonstrations(30),
    )
