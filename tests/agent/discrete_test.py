"""Integer actions through the local agent: acting, both replays, policy files."""

import dataclasses

import numpy as np
import pytest
from discrete_environments import SPACES, Discrete
from tiny_environments import Driver, spec_of, tiny_config

from iq_acme import load_policy, make_iq_agent
from iq_acme.environments import GymnasiumEnvironment, make_environment
from iq_acme.transitions import TransitionPacking


def run(space, num_steps=60, driver=Driver, **fields):
  """Trains an agent; returns the suite's environment and the agent, still open."""
  env = Discrete(space)
  environment = GymnasiumEnvironment(env, seed=0)
  config = tiny_config(n_step=1, **fields)
  agent = make_iq_agent(spec_of(environment), config=config, seed=1)
  driver(environment, agent).run(num_steps)
  return env, agent


@pytest.mark.parametrize('family', ['multicategorical', 'autoregressive'])
@pytest.mark.parametrize('space', SPACES)
def test_an_agent_learns_from_the_actions_that_it_took(space, family, tmp_path):
  env, agent = run(space, policy_family=family)
  try:
    transitions = agent.replay.transitions()
    assert transitions.action.dtype == np.int32
    np.testing.assert_array_equal(transitions.action, env.actions)
    assert len(np.unique(np.reshape(env.actions, (60, -1)), axis=0)) > 2
    assert agent.replay.packing.dtype == np.float32 and agent.learner_steps == 40
    path = str(tmp_path / 'policy.npz')
    agent.save_policy(path)
    actor = agent.make_evaluation_actor(deterministic=True)
    critic = agent.make_critic()([np.zeros(2, np.float32)])
    assert all(np.isfinite(values).all() for values in critic.values())
    policy = load_policy(path)
    for observation in np.random.default_rng(0).uniform(-1, 1, (5, 2)):
      observation = observation.astype(np.float32)
      action = policy(observation)
      assert action.dtype == np.int32
      np.testing.assert_array_equal(action, actor.select_action(observation))
      policy.environment_spec.actions.validate(policy(observation, deterministic=False))
  finally:
    agent.close()


@pytest.mark.parametrize('space', ['discrete', 'multi_discrete_matrix'])
def test_a_reverb_table_gives_the_actions_back(space):
  env, agent = run(space, replay='table', num_steps=30)
  try:
    batch = next(agent.replay.make_iterator(agent.replay._client)).data
    batch = TransitionPacking(agent._spec).unpack_in_update(batch)
    assert batch.action.dtype == np.int32 and agent.learner_steps == 10
    taken = {np.array(action).tobytes() for action in np.int32(env.actions)}
    assert {action.tobytes() for action in np.asarray(batch.action)} <= taken
  finally:
    agent.close()


class Intervening(Driver):
  """Takes actions of its own in place of the agent's."""

  def run(self, num_steps):
    timestep = self._environment.reset()
    self._agent.observe_first(timestep)
    for _ in range(num_steps):
      self._agent.select_action(timestep.observation)
      timestep = self._environment.step([2, 1])
      self._agent.observe([2, 1], timestep)


def test_what_is_stored_is_the_action_of_whoever_intervened():
  _, agent = run('multi_discrete', num_steps=3, driver=Intervening)
  try:
    np.testing.assert_array_equal(agent.replay.transitions().action, [[2, 1]] * 3)
    timestep = GymnasiumEnvironment(Discrete('multi_discrete'), seed=0).reset()
    agent.observe_first(timestep)
    with pytest.raises(ValueError, match=r'action .*1\.5.*; .* integers'):
      agent.observe(np.array([1.5, 0.0]), timestep._replace(reward=0.0, discount=1.0))
  finally:
    agent.close()


def test_transitions_of_several_steps_keep_their_first_action():
  environment = GymnasiumEnvironment(env := Discrete('multi_discrete'), seed=0)
  agent = make_iq_agent(spec_of(environment), config=tiny_config(n_step=3))
  try:
    Driver(environment, agent).run(5)  # One episode.
    actions = np.array(env.actions)
    np.testing.assert_array_equal(
      agent.replay.transitions().action, actions[[0, 0, 0, 1, 2, 3, 4]]
    )
  finally:
    agent.close()


def test_cartpole_trains_in_the_agent():
  environment = make_environment('gym:CartPole-v1', seed=0)
  config = dataclasses.replace(tiny_config(), policy_family='autoregressive')
  agent = make_iq_agent(spec_of(environment), config=config)
  try:
    Driver(environment, agent).run(40)
    assert agent.learner_steps == 20
    assert set(agent.replay.transitions().action.tolist()) == {0, 1}
  finally:
    agent.close()
