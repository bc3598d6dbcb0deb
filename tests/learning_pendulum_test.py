"""Learning, from beginning to end, on a task that needs bootstrapping.

Pendulum-v1 pays between -16.3 and 0 in each of an episode's 200 steps, and an agent has
to give up reward for a while to swing up.

Mean returns measured in this test's way after 5,000 steps, seeds 0, 1 and 2:

=====================================  ===================
agent                                  mean returns
=====================================  ===================
as it should be                        -55, -55, -53
rewards of the wrong sign              -1487, -1621, -1405
no bootstrapping (discount 0)          -1174, -933, -1403
before learning (1,000 uniform steps)  -1483, -1599, -1172
=====================================  ===================

The agent as it should be had -110, -56, -81 after 4,000 steps and -55, -277, -53 after
6,000; the bar leaves room for one of five episodes that does not swing up.
"""

import numpy as np
from acme import specs

from iq_acme import IQConfig, make_environment, make_iq_agent

BAR = -500.0
NUM_EPISODES = 5


def train(environment, config, num_steps):
  agent = make_iq_agent(specs.make_environment_spec(environment), config=config)
  timestep = None
  for _ in range(num_steps):
    if timestep is None or timestep.last():
      timestep = environment.reset()
      agent.observe_first(timestep)
    action = agent.select_action(timestep.observation)
    timestep = environment.step(action)
    agent.observe(action, timestep)
    agent.update()
  return agent


def mean_return(select_action):
  """Over episodes that start in the same states each time."""
  environment = make_environment('gym:Pendulum-v1', seed=1000)
  total = 0.0
  for _ in range(NUM_EPISODES):
    timestep = environment.reset()
    while not timestep.last():
      timestep = environment.step(select_action(timestep.observation))
      total += float(timestep.reward)
  return total / NUM_EPISODES


def test_learns_to_swing_up():
  config = IQConfig(
    learning_rate=1e-3,
    min_replay_size=1_000,
    hidden_layer_sizes=(64, 64),
    batch_size=64,
  )
  agent = train(make_environment('gym:Pendulum-v1', seed=0), config, num_steps=5_000)
  assert agent.learner_steps == 4_000
  assert mean_return(agent.make_evaluation_actor(mode=True).select_action) > BAR
  agent.close()


def test_random_actions_do_not_swing_up():
  rng = np.random.default_rng(0)
  assert mean_return(lambda _: rng.uniform(-2, 2, 1).astype(np.float32)) < BAR - 200
