"""A population's run: its folders, evaluations, resumes, and members that are stopped."""

import dataclasses
import functools
import os
import pathlib

import numpy as np
import pool_environments
import pytest
from counting_members import directories, member, members, run

from iq_acme import evaluation, policy_io, seeding
from iq_acme.population import engine, runner
from iq_acme.population.folders import MemberFolder, describe_spread
from iq_acme.population.members import group
from iq_acme.spec_checks import make_environment_spec
from iq_acme.training import metrics_files, opening
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError
from iq_acme.transitions import TransitionPacking

pytestmark = pytest.mark.core


def columns(path, name):
  return [row[name] for row in metrics_files.read_rows(path)]


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  root = tmp_path_factory.mktemp('finished')
  outcome = run(root)
  assert outcome == opening.Outcome(True, 40, 0)
  return root


def test_every_member_has_the_folder_of_a_single_run(finished):
  for directory in directories(finished):
    assert columns(directory.evaluations, 'actor_steps') == [0, 20, 40]
    assert columns(directory.evaluations, 'learner_steps') == [0, 10, 30]
    assert columns(directory.train, 'learner_steps') == [10, 20, 30]
    assert columns(directory.episodes, 'actor_steps') == [5, 10, 15, 20, 25, 30, 35, 40]
    summary = directory.read_summary()
    assert summary['finished'] and summary['actor_steps'] == 40
    assert policy_io.load_policy(directory.policy).config.num_action_values == 3
    assert (finished / 'seed_0' / 'curve.png').exists()


def test_members_differ_by_seed_and_numbers(finished):
  losses = [columns(directory.train, 'loss') for directory in directories(finished)]
  assert len({tuple(x) for x in losses}) == 3
  terms = [
    columns(directory.train, 'munchausen_term_mean')
    for directory in directories(finished)
  ]
  assert all(terms[0]) and not any(terms[2])


def test_a_policy_file_has_its_members_own_configuration(finished):
  policies = [policy_io.load_policy(x.policy) for x in directories(finished)]
  assert [x.config.temperature for x in policies] == [0.01, 0.01, 0.1]


def test_an_evaluation_is_that_of_a_single_run(finished):
  first = directories(finished)[0]
  policy = policy_io.load_policy(first.policy)  # Of the last step, as the evaluation.

  class Agent:
    def make_evaluation_actor(self, *, deterministic, seed):
      del seed  # Of samples, which CountingEnvironment's returns do not depend on.
      return Actor()

    def make_critic(self):
      return None

  class Actor:
    def select_action(self, observation):
      return policy(observation, deterministic=True)

    def observe_first(self, timestep):
      pass

    def observe(self, action, next_timestep):
      pass

  values = evaluation.evaluate_agent(
    Agent(), pool_environments.make_small, run_seed=0, step=40, num_episodes=2
  )
  row = metrics_files.read_rows(first.evaluations)[-1]
  for name in ('mode_return_mean', 'sampled_return_mean', 'mode_return_std'):
    assert row[name] == values[name]
  assert {'mode_initial_value', 'mode_discounted_return'} <= set(row)


def test_a_return_is_discounted_as_its_member_learns(finished):
  for seed, discount in enumerate([0.99, 0.99, 0.9]):
    row = metrics_files.read_rows(directories(finished)[seed].evaluations)[-1]
    first = seeding.derive_seeds(seed, 'evaluation', 40, 3)[0] % 7
    rewards = 100 * first + np.arange(1, 11).reshape(2, 5)  # Of two episodes.
    expected = np.mean(rewards @ discount ** np.arange(5))
    assert row['mode_discounted_return'] == pytest.approx(expected)


def test_training_begins_with_the_seeds_of_a_single_run(finished):
  for seed, directory in enumerate(directories(finished)):
    (first,) = seeding.derive_seeds(seed, 'training', 0, 1)
    counts = np.float32(100 * (first % 7) + np.arange(1, 6))
    expected = sum(map(float, counts))
    assert columns(directory.episodes, 'episode_return')[0] == expected


def test_what_has_finished_is_not_run_again_but_further(finished, tmp_path, capsys):
  run(tmp_path, num_steps=20)
  run(tmp_path, num_steps=40)
  assert 'Resumed at step 20' in capsys.readouterr().out
  for again, whole in zip(directories(tmp_path), directories(finished)):
    assert columns(again.evaluations, 'actor_steps') == [0, 20, 40]
    # Up to the resume; environments begin anew there, as in single runs.
    assert columns(again.train, 'loss')[0] == columns(whole.train, 'loss')[0]
    assert columns(again.train, 'learner_steps') == [10, 20, 30]


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
  take_step = runner.PopulationRun.take_step

  def take_step_or_die(self):
    if self._step == 33:
      raise MemoryError
    take_step(self)

  with monkeypatch.context() as patch:
    patch.setattr(runner.PopulationRun, 'take_step', take_step_or_die)
    with pytest.raises(MemoryError):
      run(tmp_path)
  assert columns(directories(tmp_path)[1].train, 'learner_steps') == [10, 20]
  assert run(tmp_path).finished
  for directory in directories(tmp_path):
    assert columns(directory.train, 'learner_steps') == [10, 20, 30]
    assert columns(directory.evaluations, 'actor_steps') == [0, 20, 40]
    assert columns(directory.episodes, 'actor_steps') == [5, 10, 15, 20, 25, 30, 35, 40]


def test_a_start_that_was_killed_leaves_one_population(tmp_path, monkeypatch):
  open_folder = MemberFolder.open
  for number in range(3):
    root = tmp_path / str(number)
    left = list(range(number))

    def open_or_die(self, *args, left=left):
      open_folder(self, *args)
      if not left:
        raise MemoryError
      left.pop()

    with monkeypatch.context() as patch:
      patch.setattr(MemberFolder, 'open', open_or_die)
      with pytest.raises(MemoryError):
        run(root, num_steps=20)
    assert group(members(root)) == [members(root)]
  assert run(root, num_steps=20).finished


def test_a_folder_may_be_named_from_the_users_home(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  for num_steps in (20, 40):
    assert run(pathlib.Path('~/here'), num_steps=num_steps).finished
  assert os.listdir(tmp_path) == ['here']
  assert (tmp_path / 'here' / 'seed_0' / 'population.json').exists()
  assert group(members(pathlib.Path('~/here'), 60)) == [
    members(pathlib.Path('~/here'), 60)
  ]


def test_replay_gets_what_was_done(tmp_path, monkeypatch):
  act, learn = engine.Population.act, engine.Population.learn
  acted, learned = [], []

  def act_and_tell(self, step, observations, exploring):
    actions = act(self, step, observations, exploring)
    acted.append((exploring, actions))
    return actions

  def learn_and_tell(self, rows, counts, num_updates):
    learned.append((rows, num_updates))
    assert counts.all()
    learn(self, rows, counts, num_updates)

  act_in_evaluation = engine.Population.act_in_evaluation
  evaluated = set()

  def evaluate_and_tell(self, keys, step, observations, deterministic):
    evaluated.add((deterministic, np.asarray(keys).tobytes()))
    return act_in_evaluation(self, keys, step, observations, deterministic)

  monkeypatch.setattr(engine.Population, 'act_in_evaluation', evaluate_and_tell)
  monkeypatch.setattr(engine.Population, 'act', act_and_tell)
  monkeypatch.setattr(engine.Population, 'learn', learn_and_tell)
  run(tmp_path)
  # Three evaluations of both policies, each by keys of its own.
  assert (
    sorted(deterministic for deterministic, _ in evaluated) == [False] * 3 + [True] * 3
  )
  assert len({keys for _, keys in evaluated}) == 6
  exploring, actions = zip(*acted)
  assert exploring == (True,) * 10 + (False,) * 30
  rows, num_updates = zip(*learned)
  assert num_updates == (0,) * 10 + (1,) * 30
  environment = pool_environments.make_small(0)
  packing = TransitionPacking(make_environment_spec(environment))
  for i in range(3):
    done = packing.unpack(np.concatenate([x[i] for x in rows]))
    np.testing.assert_array_equal(done.action, [x[i] for x in actions])
    # These count, and say what action led to them: also at an episode's end.
    count, cause = done.next_observation.T
    np.testing.assert_array_equal(count, done.observation[:, 0] + 1)
    np.testing.assert_allclose(cause, done.action.sum(-1), atol=1e-6)
    np.testing.assert_array_equal(count, done.reward)
    np.testing.assert_array_equal(done.discount, [1, 1, 1, 1, 0] * 8)


def make_bad(seed_of_member, at, then, step=0):
  """Returns a factory whose training environment of one member does something."""
  (seed,) = seeding.derive_seeds(seed_of_member, 'training', step, 1)
  return functools.partial(
    pool_environments.make_small, bad_seed=seed, at=at, then=then
  )


def test_an_environment_that_raises_stops_its_member_alone(tmp_path, capsys):
  make = make_bad(1, 25, 'fail')
  outcome = run(tmp_path, make)
  assert outcome.exit_status == 1
  assert 'this environment has had enough' in capsys.readouterr().out
  zero, one, two = directories(tmp_path)
  for directory in (zero, two):
    assert directory.read_summary()['finished']
    assert columns(directory.evaluations, 'actor_steps') == [0, 20, 40]
  summary = one.read_summary()
  assert not summary['finished'] and 'had enough' in summary['stopped']
  assert columns(one.evaluations, 'actor_steps') == [0, 20]
  assert columns(one.episodes, 'actor_steps')[-1] == 25

  # It is not tried again, and what an environment that it does not need does is not
  # why it was stopped.
  run(tmp_path, make_bad(1, 'constructor', 'fail', step=40), num_steps=60)
  assert one.read_summary()['stopped'] == summary['stopped']
  assert columns(one.evaluations, 'actor_steps') == [0, 20]
  assert columns(zero.evaluations, 'actor_steps') == [0, 20, 40, 60]


@pytest.mark.parametrize('purpose', ['training', 'evaluation'])
def test_a_lost_process_stops_the_run_and_no_member(purpose, tmp_path, capsys):
  (seed, *_) = seeding.derive_seeds(1, purpose, 0 if purpose == 'training' else 20, 3)
  die = functools.partial(pool_environments.make_small, bad_seed=seed, at=9, then='die')
  assert run(tmp_path, die) == opening.Outcome(
    False, 9 if purpose == 'training' else 20, 1
  )
  assert 'The same command goes on' in capsys.readouterr().out
  assert run(tmp_path) == opening.Outcome(True, 40, 0)
  for directory in directories(tmp_path):
    assert columns(directory.evaluations, 'actor_steps') == [0, 20, 40]


def test_a_loss_that_is_not_finite_stops_its_member_alone(tmp_path, capsys):
  outcome = run(tmp_path, make_bad(1, 15, 'pay_too_much'))
  assert outcome.exit_status == 1
  zero, one, two = directories(tmp_path)
  assert 'not finite at SGD step' in one.read_summary()['stopped']
  assert 'seed_1 stopped: its loss' in capsys.readouterr().out
  policy_io.load_policy(one.policy)  # Of its last finite state.
  for directory in (zero, two):
    assert directory.read_summary()['finished']


def test_the_folder_of_another_engine_is_refused_in_one_line(finished, tmp_path):
  theirs = members(finished)[0]
  settings = dataclasses.replace(theirs.settings, engine='agent')
  with pytest.raises(RunDirectoryError, match='engine: "population" there, "agent"'):
    RunDirectory(settings.workdir).check_config(settings.config(), settings.defaults())
  single = dataclasses.replace(
    member(tmp_path, 0).settings, engine='agent', agent_defaults={}
  )
  directory = RunDirectory(single.workdir)
  with directory.lock():
    directory.write_config(single.config())
  with pytest.raises(RunDirectoryError, match='engine: "agent" there, "population"'):
    run(tmp_path)


def test_other_members_are_refused(finished):
  for others in (members(finished)[:2], members(finished)[1:]):
    longer = [
      dataclasses.replace(x, settings=dataclasses.replace(x.settings, num_steps=60))
      for x in others
    ]
    with pytest.raises(RunDirectoryError, match='the same members as then'):
      runner.run(longer, pool_environments.make_small, num_workers=1)


def test_a_folder_in_use_is_refused(finished):
  with (
    directories(finished)[2].lock(),
    pytest.raises(RunDirectoryError, match='in use by another run'),
  ):
    run(finished, num_steps=60)


def test_the_spread_of_members_is_median_and_range():
  assert describe_spread([3.0]) == '3.0 (3.0 to 3.0)'
  assert describe_spread([4, 1, 2, 9]) == '3.0 (1.0 to 9.0)'
