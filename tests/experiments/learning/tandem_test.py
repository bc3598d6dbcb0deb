"""An agent that learns from what another one does, and acts in nothing itself."""

import os
import subprocess
import sys

import numpy as np
import pytest
from repository import ROOT
from tiny_agents import SPEC
from tiny_environments import Driver, NumberedEnvironment, tiny_config

from experiments.learning.tandem import TandemAgent
from iq_acme import load_policy, make_iq_agent
from iq_acme.training import metrics_files


def make_agents(folder, seeds=(0, 1)):
  """Two whose parameters, actions and batches differ; the second acts."""
  return [
    make_iq_agent(
      SPEC, config=tiny_config(), seed=seed, workdir=str(folder / role), logger=None
    )
    for role, seed in zip(('learning', 'acting'), seeds)
  ]


def make_tandem(folder):
  learning, acting = make_agents(folder)
  policy = str(folder / 'acting' / 'policy.npz')
  return TandemAgent(learning, acting, policy, {'env_name': 'numbered'})


def params_of(agent):
  return np.concatenate(
    [
      np.ravel(leaf)
      for module in agent.learner.save().params.policy.values()
      for leaf in module.values()
    ]
  )


@pytest.fixture
def tandem(tmp_path):
  agent = make_tandem(tmp_path)
  yield agent
  agent.close()


def test_acts_as_the_other_would_alone_and_learns_from_its_transitions(
  tandem, tmp_path
):
  together, alone = NumberedEnvironment(), NumberedEnvironment()
  Driver(together, tandem).run(60)
  (other, same) = make_agents(tmp_path / 'alone')
  other.close()
  Driver(alone, same).run(60)
  actions = [step[1] for step in together.transitions]
  np.testing.assert_array_equal(actions, [step[1] for step in alone.transitions])
  np.testing.assert_array_equal(params_of(tandem._acting), params_of(same))
  same.close()
  # Both rings hold the same steps; both agents took the same number of SGD steps, each
  # from parameters of its own.
  rings = [agent.replay.transitions() for agent in (tandem._learning, tandem._acting)]
  np.testing.assert_array_equal(rings[0].action, rings[1].action)
  np.testing.assert_array_equal(rings[0].observation, rings[1].observation)
  assert len(rings[0].reward) >= 50
  assert tandem.learner_steps == tandem._acting.learner_steps == 40
  assert tandem.actor_steps == 60
  assert not np.array_equal(params_of(tandem._learning), params_of(tandem._acting))


def test_evaluated_is_the_policy_that_learns(tandem):
  Driver(NumberedEnvironment(), tandem).run(60)
  observation = np.zeros(2, np.float32)
  chosen = [
    agent.make_evaluation_actor(deterministic=False, seed=3).select_action(observation)
    for agent in (tandem, tandem._learning)
  ]
  np.testing.assert_array_equal(*chosen)


def test_goes_on_after_a_checkpoint(tandem, tmp_path):
  environment = NumberedEnvironment()
  Driver(environment, tandem).run(30)
  tandem.save()
  before = [params_of(tandem._learning), params_of(tandem._acting)]
  policy = load_policy(str(tmp_path / 'acting' / 'policy.npz'))
  assert policy.metadata == {'env_name': 'numbered', 'actor_steps': 30}
  tandem.close()
  again = make_tandem(tmp_path)
  after = [params_of(again._learning), params_of(again._acting)]
  assert again.actor_steps == 30 and again.learner_steps == 10
  np.testing.assert_array_equal(after, before)
  again.close()


def test_checkpoints_of_different_steps_are_refused(tandem, tmp_path):
  Driver(NumberedEnvironment(), tandem).run(30)
  tandem._acting.save()  # And then the process is killed.
  tandem.close()
  agents = make_agents(tmp_path)
  newest = os.path.join('acting', 'checkpoints', 'step_000000000030')
  with pytest.raises(ValueError, match=rf'steps 0 and 30: .* Move .*{newest} away'):
    TandemAgent(*agents, '', {})
  for agent in agents:
    agent.close()


def test_command_trains_evaluates_and_refuses(tmp_path):
  def run(*arguments):
    return subprocess.run(
      [sys.executable, '-m', 'experiments.learning.tandem', *arguments],
      cwd=ROOT,
      capture_output=True,
      text=True,
      timeout=240,
    )

  options = (f'--root={tmp_path}', '--env_name=gym:Pendulum-v1', '--num_steps=60')
  result = run(*options, '--acting=iq', '--evaluation_period=30')
  assert result.returncode == 0, result.stderr
  folder = tmp_path / 'gym_Pendulum-v1' / 'm_iq_from_iq' / 'seed_0'
  rows = metrics_files.read_rows(str(folder / 'eval.csv'))
  assert [row['actor_steps'] for row in rows] == [0, 30, 60]
  # Another algorithm that acts is another run, in another folder: never mixed.
  moved = tmp_path / 'gym_Pendulum-v1' / 'm_iq_from_pcl' / 'seed_0'
  moved.parent.mkdir()
  folder.rename(moved)
  result = run(*options, '--acting=pcl')
  assert result.returncode == 2
  assert 'agent.acting.temperature' in result.stderr
  result = run(*options, '--learning_fields={"advantage_bound": -1}')
  assert result.returncode == 2
  assert 'advantage_bound is -1' in result.stderr
  # Two of the same seed would be one agent twice.
  result = run(*options, '--acting=m_iq')
  assert result.returncode == 2
  assert 'give --learning_seed' in result.stderr
