"""LocalAgent with parts that are not this package's own: Acme's SAC, as it ships."""

import math

import jax
import numpy as np
import pytest
from acme import specs
from acme.agents.jax import sac
from tiny_environments import Driver, NumberedEnvironment

from iq_acme.agent.local import LocalAgent, LocalSettings

ENVIRONMENT_SPEC = specs.make_environment_spec(NumberedEnvironment())
CONFIG = sac.SACConfig(
  batch_size=8,
  min_replay_size=20,
  max_replay_size=1000,
  samples_per_insert=8,
  samples_per_insert_tolerance_rate=math.inf,
)
NETWORKS = sac.make_networks(ENVIRONMENT_SPEC, hidden_layer_sizes=(8,))


class KeylessActor:
  """Acts well enough, but has no random key."""

  def __init__(self, *args, **kwargs):
    pass


class KeylessBuilder(sac.SACBuilder):
  def make_actor(self, *args, **kwargs):
    return KeylessActor()


@pytest.fixture
def make_agent():
  """Makes agents of Acme's own builder, and closes them after the test."""
  agents = []

  def make(builder=None, counter=None, **settings):
    agent = LocalAgent(
      builder or sac.SACBuilder(CONFIG),
      NETWORKS,
      sac.apply_policy_and_sample(NETWORKS),
      ENVIRONMENT_SPEC,
      LocalSettings(batch_size=8, min_replay_size=20, samples_per_step=8, **settings),
      counter=counter,
    )
    agents.append(agent)
    return agent

  yield make
  for agent in agents:
    agent.close()


def test_acmes_own_builder_learns_and_is_counted(make_agent):
  agent = make_agent()
  Driver(NumberedEnvironment(), agent).run(30)
  assert agent.learner_steps == 10
  counts = agent.counter.get_counts()
  assert set(counts) == {'actor_steps', 'learner_steps', 'learner_walltime'}
  assert (counts['actor_steps'], counts['learner_steps']) == (30, 10)


def test_acmes_own_builder_resumes(make_agent, tmp_path):
  agent = make_agent(workdir=str(tmp_path))
  Driver(NumberedEnvironment(), agent).run(30)
  agent.save()
  key = np.asarray(agent.actor._random_key)
  state = jax.device_get(agent.learner.save())
  agent.close()
  resumed = make_agent(workdir=str(tmp_path))
  assert (resumed.actor_steps, resumed.learner_steps) == (30, 10)
  np.testing.assert_array_equal(resumed.actor._random_key, key)
  jax.tree.map(np.testing.assert_array_equal, resumed.learner.save(), state)
  Driver(NumberedEnvironment(), resumed).run(5)
  assert resumed.learner_steps == 15


def test_an_actor_without_a_key_to_save_is_refused_where_there_is_a_workdir(
  make_agent, tmp_path
):
  make_agent(KeylessBuilder(CONFIG))
  with pytest.raises(ValueError, match=r'KeylessActor has no random_key.*workdir'):
    make_agent(KeylessBuilder(CONFIG), workdir=str(tmp_path))
  make_agent(workdir=str(tmp_path))  # Which is free again.
