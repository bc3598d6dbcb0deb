"""Small scripted environments, and a loop that steps an agent through them."""

import dataclasses

import dm_env
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from iq_acme.config import IQConfig
from iq_acme.networks import make_networks
from iq_acme.spec_checks import make_environment_spec

# Of tests in which it could matter; the others take the default.
REPLAYS = ('resident', 'table')

# An action that is not on the grid of values, and so tells policy from exploration.
MARKER = 0.125


def tiny_config(**overrides):
  """The default configuration, made so small that nothing takes long."""
  fields = {
    'hidden_layer_sizes': (8,),
    'num_action_values': 5,
    'batch_size': 8,
    'min_replay_size': 20,
    'max_replay_size': 1000,
    'log_period': 10,
  }
  return IQConfig(**(fields | overrides))


class OneBuffer:
  """Mixed into an environment: it writes each observation over the last one."""

  _buffer = None

  def reset(self):
    return self._in_buffer(super().reset())

  def step(self, action):
    return self._in_buffer(super().step(action))

  def _in_buffer(self, timestep):
    if self._buffer is None:
      self._buffer = np.empty_like(timestep.observation)
    self._buffer[:] = timestep.observation
    return timestep._replace(observation=self._buffer)


class NumberedEnvironment(dm_env.Environment):
  """Every step has a number n, counted over all episodes from 0.

  The observation before step n of episode e is [e, n], its reward `reward_fn(n)`.
  Episodes go through `episode_lengths` in turn, and through `terminates`: whether they
  end by termination (discount 0) or by truncation (discount 1).
  """

  def __init__(
    self, episode_lengths=(7,), terminates=(True,), reward_fn=float, action_dim=1
  ):
    self._lengths = episode_lengths
    self._terminates = terminates
    self._reward_fn = reward_fn
    self._action_dim = action_dim
    self._episode = -1
    self._steps_left = 0
    self.num_steps = 0
    # (observation, action, reward, discount, next observation) of every step.
    self.transitions = []

  def reset(self):
    self._episode += 1
    self._steps_left = self._lengths[self._episode % len(self._lengths)]
    return dm_env.restart(self._observation())

  def step(self, action):
    observation = self._observation()
    reward = np.float32(self._reward_fn(self.num_steps))
    self.num_steps += 1
    self._steps_left -= 1
    last = self._steps_left == 0
    terminated = last and self._terminates[self._episode % len(self._terminates)]
    discount = np.float32(0.0 if terminated else 1.0)
    next_observation = self._observation()
    self.transitions.append(
      (observation, np.array(action), reward, discount, next_observation)
    )
    step_type = dm_env.StepType.LAST if last else dm_env.StepType.MID
    return dm_env.TimeStep(step_type, reward, discount, next_observation)

  def observation_spec(self):
    return specs.Array((2,), np.float32, name='observation')

  def action_spec(self):
    # Asymmetric, so that values in [-1, 1] would not pass for its own units.
    return specs.BoundedArray((self._action_dim,), np.float32, -1.0, 3.0, name='action')

  def reward_spec(self):
    return specs.Array((), np.float32, name='reward')

  def discount_spec(self):
    return specs.BoundedArray((), np.float32, 0.0, 1.0, name='discount')

  def _observation(self):
    return np.array([self._episode, self.num_steps], np.float32)


class Driver:
  """Steps an agent through an environment, a given number of steps at a time."""

  def __init__(self, environment, agent):
    self._environment = environment
    self._agent = agent
    self._timestep = None
    self.actions = []

  def run(self, num_steps, after_step=None):
    """Takes environment steps; calls `after_step()` after each, where given."""
    for _ in range(num_steps):
      if self._timestep is None or self._timestep.last():
        self._timestep = self._environment.reset()
        self._agent.observe_first(self._timestep)
      action = self._agent.select_action(self._timestep.observation)
      self._timestep = self._environment.step(action)
      self._agent.observe(action, self._timestep)
      self._agent.update()
      self.actions.append(action)
      if after_step is not None:
        after_step()


def spec_of(environment):
  return make_environment_spec(environment)


def marked_networks(environment_spec, config):
  """Networks whose policy samples `MARKER` wherever it is asked."""
  networks = make_networks(environment_spec, config)
  (num_dimensions,) = environment_spec.actions.shape

  def sample(params, key, observation):
    del params, key
    return jnp.full((observation.shape[0], num_dimensions), MARKER, jnp.float32)

  policy = dataclasses.replace(networks.policy, sample=sample)
  return dataclasses.replace(networks, policy=policy)
