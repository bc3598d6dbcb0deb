"""LocalAgent with parts that are not this package's own: Acme's SAC, as it ships."""

import math

import acme
import jax
import numpy as np
import pytest
from acme import specs
from acme.agents.jax import sac
from tiny_environments import Driver, NumberedEnvironment

from iq_acme.agent.local import LocalAgent
from iq_acme.agent.local_settings import LocalSettings

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

  def make(builder=None, counter=None, seed=0, **settings):
    agent = LocalAgent(
      builder or sac.SACBuilder(CONFIG),
      NETWORKS,
      sac.apply_policy_and_sample(NETWORKS),
      ENVIRONMENT_SPEC,
      LocalSettings(batch_size=8, min_replay_size=20, samples_per_step=8, **settings),
      counter=counter,
      seed=seed,
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
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(28)  # Four whole episodes.
  agent.save()
  state = jax.device_get(agent.learner.save())
  driver.run(1)
  agent.close()
  resumed = make_agent(workdir=str(tmp_path), seed=1)
  assert (resumed.actor_steps, resumed.learner_steps) == (28, 8)
  assert resumed.replay_size() == 28
  jax.tree.map(np.testing.assert_array_equal, resumed.learner.save(), state)
  environment = NumberedEnvironment()
  for _ in range(4):  # To the same observation.
    environment.reset()
  environment.num_steps = 28
  resumed_driver = Driver(environment, resumed)
  resumed_driver.run(5)
  assert resumed.learner_steps == 13
  # Its key was restored: of one action, before learning goes on by batches of its own.
  np.testing.assert_array_equal(resumed_driver.actions[0], driver.actions[-1])


class ExploringLearner(acme.Learner):
  """Acme's learner, with the contract of one whose actors explore at first."""

  def __init__(self, learner):
    self._learner = learner
    self.explores = True
    self.num_saves = 0

  @property
  def state(self):
    return self._learner.save()

  def save(self):
    self.num_saves += 1
    return self._learner.save()

  def restore(self, state):
    self._learner.restore(state)

  def get_variables(self, names):
    return self._learner.get_variables(names)

  def step(self):
    self._learner.step()

  def end_exploration(self):
    self.explores = False


class ExploringBuilder(sac.SACBuilder):
  def make_learner(self, *args, **kwargs):
    return ExploringLearner(super().make_learner(*args, **kwargs))


def test_a_learner_that_keeps_the_contract_is_told_and_not_copied(make_agent, tmp_path):
  agent = make_agent(ExploringBuilder(CONFIG), workdir=str(tmp_path))
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(19)
  assert agent.learner.explores
  driver.run(1)
  assert not agent.learner.explores
  agent.save()
  agent.close()
  resumed = make_agent(ExploringBuilder(CONFIG), workdir=str(tmp_path))
  assert resumed.actor_steps == 20
  # A checkpoint is read by shapes and dtypes: nothing is copied or swept for NaN.
  assert resumed.learner.num_saves == 0
  assert not resumed.learner.explores


def test_without_policies_for_it_an_agent_is_not_evaluated(make_agent):
  with pytest.raises(RuntimeError, match='without evaluation_policies'):
    make_agent().make_evaluation_actor(deterministic=True)


def test_an_actor_without_a_key_to_save_is_refused_where_there_is_a_workdir(
  make_agent, tmp_path
):
  make_agent(KeylessBuilder(CONFIG))
  with pytest.raises(ValueError, match=r'KeylessActor has no random_key.*workdir'):
    make_agent(KeylessBuilder(CONFIG), workdir=str(tmp_path))
  make_agent(workdir=str(tmp_path))  # Which is free again.
