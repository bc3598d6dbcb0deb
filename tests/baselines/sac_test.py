"""Acme's SAC as an agent of the runner, on a tiny environment."""

import contextlib
import dataclasses
import os

import jax
import numpy as np
import pytest
import runner_fakes
from dm_env import specs
from tiny_environments import Driver, NumberedEnvironment, spec_of

from iq_acme import NonFiniteLossError, make_environment
from iq_acme.baselines.sac import agent as sac_agent
from iq_acme.baselines.sac import policy_file
from iq_acme.baselines.sac.agent import SACAgent
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.baselines.sac.learner import MetricsWindow
from iq_acme.commands import algorithms
from iq_acme.storage import serialization
from iq_acme.training import metrics_files, runner
from iq_acme.training.run_directory import RunDirectory

TINY = SACHyperparameters(
  hidden_layer_sizes=(8,), batch_size=8, min_replay_size=20, log_period=10
)


class Rows:
  def __init__(self):
    self.rows = []

  def write(self, data):
    self.rows.append(data)


def _environment():
  # Its own bounds are [-1, 3].
  return sac_agent.canonical(NumberedEnvironment(action_dim=2))


@pytest.fixture
def make_agent():
  agents = []

  def make(**kwargs):
    agents.append(SACAgent(spec_of(_environment()), TINY, **kwargs))
    return agents[-1]

  def close(agent):
    agents.remove(agent)
    agent.close()

  make.close = close
  yield make
  for agent in agents:
    agent.close()


def _params(agent):
  return jax.device_get(agent.learner.get_variables(['policy'])[0].params)


def _equal(a, b):
  return all(
    np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b))
  )


def test_environment_that_is_not_canonical_is_refused():
  with pytest.raises(ValueError, match='canonical'):
    SACAgent(spec_of(NumberedEnvironment()), TINY)


def test_integer_actions_are_refused():
  environment = make_environment('gym:CartPole-v1')
  with pytest.raises(ValueError, match=r'DiscreteArray.*SAC takes floats alone'):
    sac_agent.canonical(environment)


def test_normalising_observations_is_refused_by_acmes_agent():
  config = dataclasses.replace(TINY, normalize_observations=True)
  with pytest.raises(ValueError, match='normalize_observations is True'):
    SACAgent(spec_of(_environment()), config)


def test_actions_reach_the_task_in_its_own_bounds(make_agent):
  environment = _environment()
  driver = Driver(environment, make_agent())
  driver.run(15)
  for (_, taken, *_), chosen in zip(environment.transitions, driver.actions):
    assert np.all(np.abs(chosen) <= 1)
    np.testing.assert_allclose(taken, 2.0 * chosen + 1.0, rtol=1e-6)


def test_demonstrations_of_the_tasks_own_units_are_read_in_the_agents(tmp_path):
  path = str(tmp_path / 'x.npz')
  taken = np.float32([[-1, 3], [1, 2]])
  observation = np.zeros((2, 2), np.float32)
  np.savez(
    path,
    observation=observation,
    action=taken,
    reward=np.zeros(2),
    discount=np.ones(2),
    next_observation=observation,
  )
  environment = _environment()
  found = algorithms.read_demonstrations(TINY, environment, path)
  np.testing.assert_allclose(found.action, [[-1, 1], [0, 0.5]])
  environment.reset()
  for action in found.action:  # What the agent would do is what the file says was done.
    environment.step(action)
  done = [action for _, action, *_ in environment.transitions]
  np.testing.assert_allclose(done, taken)


def test_first_steps_are_uniform_and_learning_begins_with_the_next(make_agent):
  logger = Rows()
  agent = make_agent(logger=logger)
  initial = _params(agent)
  driver = Driver(_environment(), agent)
  driver.run(20)
  assert agent.learner_steps == 0 and _equal(_params(agent), initial)
  # The policy's own actions lie at the bounds here, where observations are large.
  assert 0.35 < np.abs(driver.actions).mean() < 0.65
  driver.run(30)
  assert agent.learner_steps == 30 and not _equal(_params(agent), initial)
  assert [row['learner_steps'] for row in logger.rows] == [10, 20, 30]
  assert [row['actor_steps'] for row in logger.rows] == [30, 40, 50]
  assert all(np.isfinite(row['critic_loss']) for row in logger.rows)


def test_transitions_that_replay_keeps_as_bytes_are_learned_from():
  spec = spec_of(_environment())
  reward = specs.Array((), np.float64, name='reward')
  agent = SACAgent(spec._replace(rewards=reward), TINY)
  with contextlib.closing(agent):
    assert agent.replay.packing.dtype == np.uint8
    Driver(_environment(), agent).run(25)
    assert agent.learner_steps == 5


def test_uniform_actions_do_not_depend_on_the_policy(make_agent):
  def actions(change):
    agent = make_agent(seed=1)
    if change:
      state = agent.learner.save()
      zero = jax.tree.map(lambda x: 0.0 * x, state.policy_params)
      agent.learner.restore(state._replace(policy_params=zero))
    driver = Driver(_environment(), agent)
    driver.run(21)
    return np.array(driver.actions)

  plain, changed = actions(False), actions(True)
  np.testing.assert_array_equal(plain[:20], changed[:20])
  assert not np.array_equal(plain[20], changed[20])  # The policy's own.


def test_evaluation_takes_the_mode_or_samples_and_records_nothing(make_agent):
  agent = make_agent()
  observation = np.array([1.0, 2.0], np.float32)
  act = [
    agent.make_evaluation_actor(deterministic=d, seed=seed).select_action(observation)
    for d, seed in ((True, 0), (True, 1), (False, 0), (False, 1))
  ]
  np.testing.assert_array_equal(act[0], act[1])
  assert not np.array_equal(act[2], act[3])
  assert agent.replay_size() == 0


def test_resumed_agent_goes_on_as_if_it_had_not_stopped(make_agent, tmp_path):
  straight, stopped = (tmp_path / name for name in ('straight', 'stopped'))
  for folder in (straight, stopped):
    folder.mkdir()
  whole = make_agent(workdir=str(straight))
  # An episode ends after 42 steps, where a resumed run begins a new one anyway.
  environment = _environment()
  driver = Driver(environment, whole)
  driver.run(42)
  first = make_agent(workdir=str(stopped))
  first_environment = _environment()
  Driver(first_environment, first).run(42)
  first.save()
  make_agent.close(first)
  second = make_agent(workdir=str(stopped))
  assert second.restored_from is not None
  assert (second.actor_steps, second.learner_steps) == (42, 22)
  # Saving flushes what is on its way to replay, which the other has to do as well.
  whole.save()
  driver.run(20)
  Driver(first_environment, second).run(20)
  assert second.learner_steps == whole.learner_steps == 42
  assert _equal(whole.learner.save(), second.learner.save())


def test_policy_file_acts_like_the_agent(make_agent, tmp_path):
  agent = make_agent()
  Driver(_environment(), agent).run(40)
  path = str(tmp_path / 'policy.npz')
  agent.save_policy(path, {'env_name': 'fake'})
  assert serialization.load_header(path)['metadata'] == {'env_name': 'fake'}
  observation = np.array([3.0, 4.0], np.float32)
  for deterministic in (True, False):
    loaded = policy_file.load_policy(path, spec_of(_environment()))
    loaded.seed(5)
    own = agent.make_evaluation_actor(deterministic=deterministic, seed=5)
    action = loaded(observation, deterministic)
    np.testing.assert_array_equal(action, own.select_action(observation))
    # In an environment that is not wrapped, it acts in its units.
    unwrapped = policy_file.load_policy(
      path, spec_of(NumberedEnvironment(action_dim=2))
    )
    unwrapped.seed(5)
    np.testing.assert_allclose(
      unwrapped(observation, deterministic), 2 * action + 1, rtol=1e-6, atol=1e-6
    )


def test_policy_of_another_environment_is_refused(make_agent, tmp_path):
  path = str(tmp_path / 'policy.npz')
  make_agent().save_policy(path)
  other = spec_of(sac_agent.canonical(NumberedEnvironment(action_dim=3)))
  with pytest.raises(ValueError, match='does not fit'):
    policy_file.load_policy(path, other)
  serialization.save_tree(path, {}, {'format': 'something'})
  with pytest.raises(serialization.CorruptFileError, match='SAC'):
    policy_file.load_policy(path, other)


def test_loss_that_is_not_finite_stops_the_run_and_is_not_saved():
  window = MetricsWindow(None, period=3)
  good = {'critic_loss': 1.0, 'actor_loss': 2.0, 'learner_steps': 1}
  window.write(good)
  window.check_finite()
  window.write({**good, 'actor_loss': float('nan'), 'learner_steps': 2})
  with pytest.raises(NonFiniteLossError, match='actor_loss became nan at SGD step 2'):
    window.check_finite()
  with pytest.raises(NonFiniteLossError):
    window.write({**good, 'learner_steps': 3})


def test_spoiled_state_is_not_saved(make_agent, tmp_path):
  agent = make_agent(workdir=str(tmp_path))
  state = agent.learner.save()
  agent.learner.restore(state._replace(alpha_params=np.float32(np.inf)))
  with pytest.raises(NonFiniteLossError, match='alpha_params'):
    agent.save()
  assert os.listdir(tmp_path / 'checkpoints') == []


def test_runner_runs_evaluates_and_resumes_it(tmp_path):
  directory = RunDirectory(str(tmp_path / 'run'))

  def run(num_steps):
    settings = runner_fakes.make_settings(
      directory.path,
      num_steps=num_steps,
      algorithm='sac',
      agent_config={},
      evaluation_period=20,
    )
    return runner.run(
      settings,
      lambda seed: _environment(),
      lambda environment, workdir, logger: algorithms.make_agent(
        TINY, environment, workdir, logger, seed=0
      ),
    )

  assert run(30).finished
  assert run(60).finished
  rows = metrics_files.read_rows(directory.evaluations)
  assert [row['actor_steps'] for row in rows] == [0, 20, 30, 40, 60]
  assert [row['learner_steps'] for row in rows] == [0, 0, 10, 20, 40]
  assert os.path.exists(directory.policy) and os.path.exists(directory.best_policy)
  trained = metrics_files.read_rows(directory.train)
  assert [row['learner_steps'] for row in trained] == [10, 20, 30, 40]
