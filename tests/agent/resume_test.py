"""A local agent that is stopped, in one way or another, and goes on."""

import os
import pathlib
import signal
import stat
import subprocess
import sys

import acme
import jax
import numpy as np
import pytest
from acme.utils import counting
from repository import HELPERS, ROOT
from tiny_agents import SPEC, agents_in, steps_in_replay
from tiny_environments import (
  MARKER,
  REPLAYS,
  Driver,
  NumberedEnvironment,
  tiny_config,
)
from tiny_learners import as_bytes

from iq_acme import NonFiniteLossError, make_iq_agent
from iq_acme.agent.checkpoints import WorkdirInUseError
from iq_acme.agent.learner import IQLearner
from iq_acme.training.run_directory import RunDirectory


@pytest.fixture
def make_agent(tmp_path):
  with agents_in(tmp_path) as make:
    yield make


def num_uniform(actions):
  return sum(float(action[0]) != MARKER for action in actions)


@pytest.mark.parametrize('kind', REPLAYS)
def test_a_resumed_agent_has_everything_that_the_saved_one_had(make_agent, kind):
  config = tiny_config(replay=kind, normalize_observations=True)
  agent = make_agent(config)
  Driver(NumberedEnvironment(), agent).run(45)
  agent.save()
  saved = jax.device_get(agent.learner.state)
  counts, key = agent.counter.get_counts(), np.asarray(agent.actor.random_key)

  resumed = make_agent(config, seed=1)
  assert resumed.restored_from is not None
  assert (resumed.actor_steps, resumed.learner_steps) == (45, 25)
  assert resumed.counter.get_counts() == counts
  assert as_bytes(resumed.learner.state) == as_bytes(saved)
  np.testing.assert_array_equal(resumed.actor.random_key, key)
  assert resumed.replay_size() == 45
  assert steps_in_replay(resumed) == set(range(45))


@pytest.mark.parametrize('kind', REPLAYS)
@pytest.mark.parametrize('saved_at', [13, 20, 33])
def test_exploration_and_sgd_steps_go_on_as_if_nothing_had_happened(
  make_agent, kind, saved_at
):
  config = tiny_config(replay=kind)
  agent = make_agent(config)
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(saved_at)
  agent.save()
  actions = driver.actions
  for _ in range(2):  # Resumed twice, the second time where it was resumed before.
    agent = make_agent(config)
    driver = Driver(NumberedEnvironment(), agent)

    def check(agent=agent):
      assert agent.learner_steps == max(0, agent.actor_steps - 20)
      assert agent.learner_steps == int(agent.learner.state.steps)

    driver.run(10, check)
    agent.save()
    actions = actions + driver.actions
  assert agent.actor_steps == saved_at + 20
  assert [float(action[0]) == MARKER for action in actions] == [False] * 20 + [
    True
  ] * saved_at
  assert agent.counter.get_counts()['actor_steps'] == saved_at + 20
  assert agent.counter.get_counts()['learner_steps'] == saved_at


@pytest.mark.parametrize('kind', REPLAYS)
def test_without_its_replay_a_run_refills_before_it_goes_on_learning(make_agent, kind):
  config = tiny_config(replay=kind)
  agent = make_agent(config, checkpoint_replay=False)
  Driver(NumberedEnvironment(), agent).run(30)
  agent.save()
  for _ in range(2):  # Also where the refill itself is interrupted.
    agent = make_agent(config, checkpoint_replay=False)
    assert agent.replay_size() == 0
    driver = Driver(NumberedEnvironment(), agent)
    taken = []
    driver.run(8, lambda a=agent, t=taken: t.append(a.learner_steps))
    assert taken == [10] * 8
    agent.save()
  agent = make_agent(config)
  driver = Driver(NumberedEnvironment(), agent)
  taken = []
  driver.run(25, lambda: taken.append(agent.learner_steps))
  assert taken == [10] * 20 + [11, 12, 13, 14, 15]
  assert num_uniform(driver.actions) == 0

  # The pause is remembered where the next checkpoint has the replay again.
  agent.save()
  agent = make_agent(config)
  Driver(NumberedEnvironment(), agent).run(5, lambda: taken.append(agent.learner_steps))
  assert taken[-5:] == [16, 17, 18, 19, 20]


@pytest.mark.parametrize('kind', REPLAYS)
def test_a_folder_in_use_is_refused_and_its_agent_goes_on(make_agent, tmp_path, kind):
  config = tiny_config(replay=kind)
  agent = make_agent(config)
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(25)
  with pytest.raises(WorkdirInUseError) as error:
    make_iq_agent(SPEC, config=config, workdir=str(tmp_path))
  assert str(tmp_path) in str(error.value)
  assert str(os.getpid()) in str(error.value)
  driver.run(5)
  agent.save()  # With the table, through a scratch folder of its own.
  agent.close()
  with pytest.raises(RuntimeError, match='closed'):
    agent.save()
  resumed = make_agent(config)
  assert (resumed.actor_steps, resumed.replay_size()) == (30, 30)


def test_a_checkpoint_is_read_without_a_copy_of_the_new_learner(
  make_agent, monkeypatch
):
  agent = make_agent(tiny_config())
  Driver(NumberedEnvironment(), agent).run(25)
  agent.save()
  agent.close()
  monkeypatch.setattr(IQLearner, 'save', None)
  assert make_agent(tiny_config()).learner_steps == 5


def test_the_lock_of_a_run_and_the_agents_are_two(make_agent, tmp_path):
  with RunDirectory(str(tmp_path)).lock():
    make_agent(tiny_config())


def flip_a_bit(path):
  with open(path, 'r+b') as file:
    file.seek(os.path.getsize(path) // 2)
    (byte,) = file.read(1)
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize('kind', REPLAYS)
@pytest.mark.parametrize('part', ['learner.npz', 'replay'])
def test_a_rotten_checkpoint_gives_way_to_the_one_before_it(make_agent, kind, part):
  config = tiny_config(replay=kind)
  agent = make_agent(config)
  driver = Driver(NumberedEnvironment(), agent)
  driver.run(25)
  before = agent.save()
  saved = jax.device_get(agent.learner.state)
  driver.run(5)
  path = pathlib.Path(agent.save().path, part)
  if path.is_dir():
    path = max(path.iterdir(), key=os.path.getsize)
  flip_a_bit(path)
  resumed = make_agent(config)
  assert resumed.restored_from == before.path
  assert (resumed.actor_steps, resumed.replay_size()) == (25, 25)
  assert as_bytes(resumed.learner.state) == as_bytes(saved)


@pytest.mark.parametrize('kind', REPLAYS)
def test_a_checkpoint_is_as_readable_as_the_umask_lets_it_be(make_agent, kind):
  before = os.umask(0o027)
  try:
    agent = make_agent(tiny_config(replay=kind))
    Driver(NumberedEnvironment(), agent).run(5)
    folder = pathlib.Path(agent.save().path)
  finally:
    os.umask(before)
  for path in (folder, *folder.rglob('*')):
    expected = 0o750 if path.is_dir() else 0o640
    assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_users_counter_has_the_steps_of_the_episode_that_was_saved_in(make_agent):
  counter = counting.Counter()
  agent = make_agent(tiny_config(), counter=counter)
  environment = NumberedEnvironment(episode_lengths=(7,))
  actor_counter = counting.Counter(counter, prefix='actor', time_delta=0)
  acme.EnvironmentLoop(environment, agent, actor_counter).run(num_episodes=2)
  Driver(environment, agent).run(3)  # Of an episode that Acme's loop would count later.
  agent.save()
  assert counter.get_counts()['actor_steps'] == 14

  counter = counting.Counter()
  agent = make_agent(tiny_config(), counter=counter)
  assert counter.get_counts()['actor_steps'] == agent.actor_steps == 17


def test_checkpoints_are_made_every_so_many_steps_and_the_last_few_kept(
  make_agent, tmp_path
):
  agent = make_agent(tiny_config(), checkpoint_every=10, keep_checkpoints=2)
  Driver(NumberedEnvironment(), agent).run(35)
  names = sorted(os.listdir(tmp_path / 'checkpoints'))
  assert [int(name.removeprefix('step_')) for name in names] == [20, 30]
  assert make_agent(tiny_config()).actor_steps == 30


def test_a_bad_loss_leaves_the_last_checkpoint_as_it_was(make_agent):
  agent = make_agent(tiny_config())
  environment = NumberedEnvironment(reward_fn=lambda n: 0.0 if n < 30 else 1e30)
  driver = Driver(environment, agent)
  driver.run(30)
  info = agent.save()
  saved = jax.device_get(agent.learner.state)
  with pytest.raises(NonFiniteLossError, match='inf'):
    for _ in range(20):
      driver.run(1)
      info = agent.save()
      saved = jax.device_get(agent.learner.state)
  resumed = make_agent(tiny_config())
  assert resumed.restored_from == info.path
  assert as_bytes(resumed.learner.state) == as_bytes(saved)
  assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(saved))


PROGRAM = """
import sys
sys.path[:0] = sys.argv[3:]
from tiny_environments import Driver, NumberedEnvironment, spec_of, tiny_config
from iq_acme import make_iq_agent

environment = NumberedEnvironment()
agent = make_iq_agent(
  spec_of(environment), config=tiny_config(), workdir=sys.argv[1], checkpoint_every=5
)
print('started at', agent.actor_steps, flush=True)
Driver(environment, agent).run(
  int(sys.argv[2]), lambda: print('step', agent.actor_steps, flush=True)
)
if agent.restored_from:
  agent.close()
  unclosed = make_iq_agent(spec_of(environment), config=tiny_config())
  Driver(NumberedEnvironment(), unclosed).run(25)
  print('ended', flush=True)
"""


def start(workdir, num_steps):
  """Runs an agent in a process of its own, which says each step it takes."""
  arguments = [workdir, str(num_steps), str(HELPERS), str(ROOT)]
  return subprocess.Popen(
    [sys.executable, '-c', PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
  )


def test_a_killed_run_goes_on_from_its_last_checkpoint_and_its_process_ends(tmp_path):
  workdir = str(tmp_path)
  process = start(workdir, 1_000_000)
  try:
    for line in process.stdout:
      if line == 'step 52\n':
        break
  finally:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL

  # Some steps more may have been taken before the signal arrived. Neither this agent,
  # which is closed, nor the one after it, which never is, holds up the process.
  output, _ = (process := start(workdir, 10)).communicate(timeout=300)
  started_at = int(output.splitlines()[0].removeprefix('started at '))
  assert started_at >= 50
  assert started_at % 5 == 0
  assert output.splitlines()[-2:] == [f'step {started_at + 10}', 'ended']
  assert process.returncode == 0
  assert sorted(os.listdir(tmp_path)) == ['.agent.lock', 'checkpoints']
  assert all(name.startswith('step_') for name in os.listdir(tmp_path / 'checkpoints'))
