"""How well a policy swings Pendulum-v1 up, measured the same way everywhere."""

from iq_acme.environments import make_environment

# Between what works and what does not: see the table of `agent/pendulum_test.py`.
BAR = -200.0
NUM_EPISODES = 5


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
