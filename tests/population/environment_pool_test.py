import contextlib
import functools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pool_environments
import pytest

from iq_acme.environments import make_environment
from iq_acme.episodes import EnvironmentStepper
from iq_acme.population.environment_pool import EnvironmentPool


class Recorder:
  """An actor that takes given actions, and notes everything that it sees."""

  def __init__(self, actions):
    self._actions = iter(actions)
    self.seen = []

  def select_action(self, observation):
    self.seen.append(['acted on', *observation])
    return next(self._actions)

  def observe_first(self, timestep):
    pass

  def observe(self, action, next_timestep):
    step = next_timestep
    self.seen.append([step.reward, step.discount, step.last(), *step.observation])


@pytest.fixture(scope='module')
def shared_pool():
  with EnvironmentPool(pool_environments.make, 2) as pool:
    yield pool


def without_process(metrics):
  return {name: value for name, value in metrics.items() if name != 'process'}


@contextlib.contextmanager
def opened(make, seeds, num_workers=2, **options):
  with EnvironmentPool(make, num_workers, **options) as pool:
    yield pool.open(seeds)


def zeros(batch):
  return np.zeros((len(batch.observations), 2), np.float32)


def wait_until(condition, seconds=20):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.02)


def is_gone(process):
  try:
    with open(f'/proc/{process}/stat') as file:
      return file.read().rpartition(')')[2].split()[0] == 'Z'
  except FileNotFoundError:
    return True


@pytest.mark.parametrize(
  ('make', 'steps'),
  [
    (functools.partial(make_environment, 'gym:Hopper-v4', max_episode_steps=30), 70),
    (functools.partial(make_environment, 'gym:Pendulum-v1', max_episode_steps=9), 20),
    (pool_environments.make, 17),
  ],
  ids=['Hopper', 'Pendulum', 'counting'],
)
def test_trajectories_are_those_of_a_stepper_with_the_same_seeds(
  make, steps, monkeypatch
):
  monkeypatch.setenv('OMP_NUM_THREADS', '1')
  seeds = [3, 0, 5]
  with opened(make, seeds) as batch:
    shape = batch._pool.environment_spec.actions.shape
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 3, *shape))
    actions = actions.astype(np.float32)
    seen, episodes = [[] for _ in seeds], [[] for _ in seeds]
    for t in range(steps):
      acted_on = batch.observations
      batch.send(actions[t])
      results = batch.receive()
      assert results.failures == {}
      assert set(results.episodes) == set(np.flatnonzero(results.last))
      for i in range(3):
        seen[i].append(['acted on', *acted_on[i]])
        scalars = results.reward[i], results.discount[i], results.last[i]
        seen[i].append([*scalars, *results.next_observation[i]])
        if i in results.episodes:
          episodes[i].append(results.episodes[i])
  for i, seed in enumerate(seeds):
    actor = Recorder(actions[:, i])
    with contextlib.closing(make(seed)) as environment:
      stepper = EnvironmentStepper(environment)
      expected = [e for e in (stepper.step(actor) for _ in range(steps)) if e]
    assert seen[i] == actor.seen
    assert len(expected) > 1
    for found, other in zip(episodes[i], expected, strict=True):
      assert (found.episode_return, found.length) == (
        other.episode_return,
        other.length,
      )
      assert without_process(found.metrics) == without_process(other.metrics)


def test_environments_are_spread_over_processes_of_one_thread_each(shared_pool):
  with contextlib.closing(shared_pool.open(range(5))) as batch:
    for _ in range(5):
      batch.send(zeros(batch))
      episodes = batch.receive().episodes
    processes = [episodes[i].metrics['process'] for i in range(5)]
    assert len(set(processes[:3])) == 1 and len(set(processes[3:])) == 1
    assert len({*processes, os.getpid()}) == 3
    assert {episode.metrics['threads'] for episode in episodes.values()} == {1.0}


def test_inactive_environments_stay_as_they_are(shared_pool):
  with contextlib.closing(shared_pool.open([0, 1, 2])) as batch:
    batch.send(zeros(batch), [True, False, True])
    results = batch.receive()
    np.testing.assert_array_equal(batch.observations[:, 0], [1, 100, 201])
    np.testing.assert_array_equal(results.reward, [1, 0, 201])
    np.testing.assert_array_equal(results.next_observation[:, 0], [1, 0, 201])
    np.testing.assert_array_equal(results.discount, [1, 0, 1])
    batch.send(zeros(batch), [False, True, False])
    np.testing.assert_array_equal(batch.receive().reward, [0, 101, 0])


def test_results_are_not_overwritten_by_the_next_step(shared_pool):
  with contextlib.closing(shared_pool.open([0, 1])) as batch:
    first = batch.observations
    batch.send(zeros(batch))
    results = batch.receive()
    batch.send(zeros(batch))
    batch.receive()
    np.testing.assert_array_equal(first[:, 0], [0, 100])
    np.testing.assert_array_equal(results.next_observation[:, 0], [1, 101])


def test_batches_are_stepped_independently_in_the_same_processes(shared_pool):
  training = shared_pool.open([0, 1])
  training.send(zeros(training))
  evaluation = shared_pool.open([7, 8, 9])
  evaluation.send(zeros(evaluation))
  np.testing.assert_array_equal(evaluation.receive().reward, [701, 801, 901])
  np.testing.assert_array_equal(training.receive().reward, [1, 101])
  evaluation.send(zeros(evaluation))
  evaluation.close()  # In the middle of a step.
  training.send(zeros(training))
  np.testing.assert_array_equal(training.receive().reward, [2, 102])
  training.close()
  assert len(shared_pool._workers) == 2


@pytest.mark.parametrize(
  ('at', 'steps'), [('constructor', 0), ('reset 100', 0), (103, 3), ('reset 105', 4)]
)
def test_environment_that_raises_is_left_out_and_the_others_go_on(at, steps):
  make = functools.partial(pool_environments.make_one_that, 'fail', at)
  with opened(make, [0, 1, 2], num_workers=1) as batch:
    for t in range(steps):
      batch.send(zeros(batch))
      results = batch.receive()
      assert results.failures == {}
      np.testing.assert_array_equal(results.reward, [t + 1, t + 101, t + 201])
    batch.send(zeros(batch))
    results = batch.receive()
    assert list(results.failures) == [1]
    assert 'this environment has had enough' in results.failures[1]
    assert 'pool_environments.py' in results.failures[1]
    for _ in range(2):
      assert not batch.observations[1].any()
      assert results.reward[1] == results.discount[1] == results.last[1] == 0
      assert results.reward[0] > 0 and results.reward[2] > 0
      batch.send(zeros(batch))
      results = batch.receive()
      assert results.failures == {}


def test_death_of_a_worker_is_a_failure_of_its_environments():
  make = functools.partial(pool_environments.make_one_that, 'die', 101)
  with EnvironmentPool(make, 2) as pool:
    batch = pool.open([0, 1, 2, 3])
    failures = []
    for _ in range(3):
      batch.send(zeros(batch))
      results = batch.receive()
      failures.append(results.failures)
    reason = 'The process of this environment was killed by signal 9 (SIGKILL).'
    assert failures == [{}, {0: reason, 1: reason}, {}]
    np.testing.assert_array_equal(results.reward, [0, 0, 203, 303])
    other = pool.open([4, 5])  # In a new process beside the one that is left.
    other.send(zeros(other))
    np.testing.assert_array_equal(other.receive().reward, [401, 501])


def test_signals_that_ask_for_a_stop_are_the_pools_affair():
  make = functools.partial(pool_environments.make_one_that, 'ask_to_stop', 100)
  with opened(make, [0, 1]) as batch:
    for t in range(2):
      batch.send(zeros(batch))
      np.testing.assert_array_equal(batch.receive().reward, [t + 1, t + 101])


def test_hang_can_be_given_up(monkeypatch):
  monkeypatch.setattr('iq_acme.population.environment_pool._CLOSE_SECONDS', 0.1)
  waits = []

  def waiting(seconds):
    waits.append(seconds)
    if len(waits) == 2:
      raise TimeoutError('enough')

  make = functools.partial(pool_environments.make_one_that, 'hang', 100)
  with EnvironmentPool(make, 2) as pool:
    batch = pool.open([0, 1])  # Starts the workers, which may take a while.
    pool._waiting = waiting
    batch.send(zeros(batch))
    with pytest.raises(TimeoutError, match='enough'):
      batch.receive()
    processes = [worker._process for worker in pool._workers]
  assert 0.5 < waits[0] < waits[1]
  assert [process.returncode for process in processes] == [0, -signal.SIGKILL]


@pytest.mark.parametrize('at', ['', 100])
def test_nothing_is_left_of_a_pool_that_was_killed(at, tmp_path):
  before = set(os.listdir('/dev/shm'))
  code = f"""
import functools, sys, time
import numpy as np
import pool_environments
from iq_acme.population.environment_pool import EnvironmentPool

if __name__ == '__main__':
  make = functools.partial(pool_environments.make_one_that, 'hang', {at!r})
  pool = EnvironmentPool(make, 2)
  pool._waiting = lambda seconds: print(
    *(worker._process.pid for worker in pool._workers), flush=True
  )
  batch = pool.open([0, 1])
  batch.send(np.zeros((2, 2)))
  batch.receive()
  while True:
    pool._waiting(0)
    time.sleep(1)
""".format(at=at)
  path = tmp_path / 'killed.py'
  path.write_text(code)
  environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
  with subprocess.Popen(
    [sys.executable, path], env=environment, stdout=subprocess.PIPE, text=True
  ) as process:
    workers = [int(number) for number in process.stdout.readline().split()]
    assert len(workers) == 2 and not any(map(is_gone, workers))
    process.kill()
  wait_until(lambda: all(map(is_gone, workers)))
  assert set(os.listdir('/dev/shm')) <= before


def test_closing_ends_the_processes():
  with opened(pool_environments.make, [0, 1]) as batch:
    batch.send(zeros(batch))
    workers = [worker._process.pid for worker in batch._pool._workers]
  assert all(map(is_gone, workers))


def test_workers_load_no_jax():
  code = """
import sys
import iq_acme.environments.gymnasium_adapter, iq_acme.population.environment_worker
print('jax' in sys.modules)
"""
  environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
  output = subprocess.check_output([sys.executable, '-c', code], env=environment)
  assert output.strip() == b'False'


def test_mistakes_are_named(shared_pool):
  with pytest.raises(ValueError, match='num_workers must be None or at least 1, got 0'):
    EnvironmentPool(pool_environments.make, 0)
  with pytest.raises(ValueError, match=r'a function of a module.*lambda'):
    EnvironmentPool(lambda seed: pool_environments.make(seed))
  with pytest.raises(ValueError, match='observations of an environment must be one'):
    EnvironmentPool(pool_environments.make_nested)
  with pytest.raises(ValueError, match='HalfCheetah-v4'):
    EnvironmentPool(functools.partial(make_environment, 'gym:HalfCheetha-v4'))
  with pytest.raises(ValueError, match='seeds must name at least one'):
    shared_pool.open([])
  with contextlib.closing(shared_pool.open([0, 1])) as batch:
    with pytest.raises(RuntimeError, match=r'send\(\)'):
      batch.receive()
    with pytest.raises(ValueError, match=r'\(2, 2\) and \(2,\), got \(2,\) and \(2,\)'):
      batch.send(np.zeros(2))
    batch.send(zeros(batch))
    with pytest.raises(RuntimeError, match=r'receive\(\)'):
      batch.send(zeros(batch))


def test_function_of_the_script_itself_is_refused(monkeypatch):
  def make(seed):
    return pool_environments.make(seed)

  monkeypatch.setattr(make, '__module__', '__main__')
  monkeypatch.setattr(make, '__qualname__', 'make')
  monkeypatch.setattr(sys.modules['__main__'], 'make', make, raising=False)
  with pytest.raises(ValueError, match='__main__, the script that is run'):
    EnvironmentPool(functools.partial(make))
