"""Learning, from beginning to end, on a task that needs bootstrapping.

Pendulum-v1 pays between -16.3 and 0 in each of an episode's 200 steps, and an agent has
to give up reward for a while to swing up. The mean return after 4,000 steps, measured
in this test's way:

=====================================  ===================
agent, seeds 0, 1 and 2                mean return
=====================================  ===================
as it should be                        -54, -82, -54
rewards of the wrong sign              -1614, -1561, -1601
no bootstrapping (discount 1e-6)       -1208, -1129, -1202
before learning (1,000 uniform steps)  -1483, -1599, -1172
=====================================  ===================
"""

import numpy as np
from acme import specs
from pendulum import BAR, mean_return
from tiny_environments import Driver

from iq_acme import IQConfig, make_environment, make_iq_agent


def test_learns_to_swing_up():
  config = IQConfig(
    hidden_layer_sizes=(64, 64), learning_rate=1e-3, min_replay_size=1_000
  )
  environment = make_environment('gym:Pendulum-v1', seed=0)
  agent = make_iq_agent(specs.make_environment_spec(environment), config=config)
  mode = agent.make_evaluation_actor(deterministic=True)
  Driver(environment, agent).run(4_000)
  value = mean_return(mode.select_action)
  agent.close()
  assert value > BAR
  assert agent.learner_steps == agent.actor_steps - 1_000


def test_random_actions_do_not_swing_up():
  rng = np.random.default_rng(0)
  assert mean_return(lambda _: rng.uniform(-2, 2, 1).astype(np.float32)) < BAR - 200
