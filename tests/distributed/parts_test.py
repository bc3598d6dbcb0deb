"""The parts of a program, each by itself."""

import errno
import os
import pickle
import sys
import threading
import types
from unittest import mock

import distributed_programs
import numpy as np
import pytest
import reverb
from absl import flags
from launchpad import context as lp_context
from launchpad.launch import serialization
from tiny_environments import Driver, NumberedEnvironment, spec_of, tiny_config

from iq_acme import launch, make_distributed_iq
from iq_acme.agent.builder import IQBuilder
from iq_acme.distributed.counter import StepCounter
from iq_acme.distributed.metrics import TimedIterator
from iq_acme.supervisor import launching, resources, supervision


@pytest.fixture
def program(tmp_path):
  return distributed_programs.make_program(str(tmp_path), num_actors=2)


def test_budget_is_granted_exactly_and_reported_steps_are_counted():
  counter = StepCounter(max_steps=25)
  assert counter.start_steps() is None
  assert counter.claim_steps('actor/0', 0, 10) == 0  # Before it is opened.
  counter.open({'actor_steps': 3, 'learner_steps': 7})
  assert counter.start_steps() == 3
  assert [counter.claim_steps('actor/0', done, 10) for done in (0, 10, 10)] == [
    10,
    10,
    2,
  ]
  assert counter.claim_steps('actor/0', 2, 10) == 0
  assert counter.get_counts() == {'actor_steps': 25, 'learner_steps': 7}


def test_closed_counter_grants_nothing_and_knows_who_has_retired():
  counter = StepCounter(max_steps=100)
  counter.open({})
  assert counter.claim_steps('actor/0', 0, 10) == 10
  counter.close()
  assert counter.claim_steps('actor/0', 10, 10) == 0
  assert counter.get_counts()['actor_steps'] == 10
  counter.retire('actor/1')
  counter.retire('actor/1')
  assert counter.num_retired() == 1


def test_many_actors_never_get_more_than_the_budget():
  counter = StepCounter(max_steps=1000)
  counter.open({})
  granted = []

  def act(name):
    done = 0
    while (steps := counter.claim_steps(name, done, 7)) != 0:
      done = steps or 0
      granted.append(done)

  threads = [threading.Thread(target=act, args=(f'actor/{i}',)) for i in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert sum(granted) == counter.get_counts()['actor_steps'] == 1000


def test_claim_of_an_actor_that_is_silent_goes_to_the_others():
  counter = StepCounter(max_steps=25)
  counter.open({})
  assert [counter.claim_steps(name, 0, 10) for name in 'ab'] == [10, 10]
  assert counter.claim_steps('a', 10, 10) == 5
  assert counter.claim_steps('a', 5, 10) is None  # 'b' may still give its ten back.
  assert [counter.give_back('b'), counter.give_back('b')] == [10, 0]
  assert counter.claim_steps('a', 0, 8) == 8
  # It comes back with all ten, of which the budget has room for two.
  assert counter.claim_steps('b', 10, 10) is None
  assert counter.claim_steps('a', 8, 10) == 0
  assert counter.get_counts() == {'actor_steps': 25}


def test_silent_is_who_is_long_in_a_call_or_does_not_report(monkeypatch):
  clock = [100.0]
  monkeypatch.setattr('time.monotonic', lambda: clock[0])
  counter = StepCounter(max_steps=25)
  clock[0] += 99  # Of a learner that restores much.
  assert counter.silent(['never'], 10) == {}
  counter.open({})
  nodes = ['never', 'stepping', 'stuck', 'retired']
  counter.retire('retired')
  clock[0] += 50
  counter.report('stepping', 'step', 0.01)
  counter.report('stuck', 'reset', 8.0)
  clock[0] += 3
  assert counter.silent(nodes, 10) == {'never': ('', 53.0), 'stuck': ('reset', 11.0)}
  assert counter.silent(nodes, 60) == {}


@pytest.fixture
def open_ring():
  """Makes a builder whose ring a thread fills, its server and its iterator."""
  servers = []

  def make(config):
    builder = IQBuilder(config, spec_of(NumberedEnvironment()), single_threaded=False)
    server = reverb.Server(builder.make_replay_tables(None))
    servers.append(server)
    client = reverb.Client(f'localhost:{server.port}')
    return builder, client

  yield make
  for server in servers:
    server.stop()


def test_learner_hears_of_a_queue_that_cannot_be_read():
  def sample(*args, **kwargs):
    raise OSError('the line is dead')

  builder = IQBuilder(tiny_config(), spec_of(NumberedEnvironment()))
  client = types.SimpleNamespace(sample=sample)
  for _ in range(2):  # Not only the first time.
    iterator = builder.make_dataset_iterator(client)
    with pytest.raises(RuntimeError, match='the line is dead'):
      next(iterator)


def test_rows_under_way_arrive_when_a_remote_adder_is_flushed(open_ring):
  builder, client = open_ring(tiny_config(replay='resident'))
  adder = builder.make_adder(client)
  environment = NumberedEnvironment()

  class Actor:
    def observe_first(self, timestep):
      adder.add_first(timestep)

    def select_action(self, observation):
      return np.zeros(1, np.float32)

    def observe(self, action, timestep):
      adder.add(action, timestep)

    def update(self):
      pass

  Driver(environment, Actor()).run(30)
  adder.flush()
  (info,) = client.server_info().values()
  assert info.current_size == 30


def test_busy_time_is_what_the_learner_does_not_wait(monkeypatch):
  clock = [100.0]
  monkeypatch.setattr('time.monotonic', lambda: clock[0])

  def slow():
    for seconds in (30.0, 1.0, 4.0):
      clock[0] += seconds
      yield

  iterator = TimedIterator(slow())
  next(iterator)  # While replay fills up, nobody is idle.
  next(iterator)
  clock[0] += 3.0
  assert iterator.busy_fraction() == 0.75  # 1 s of waiting in 4 s.
  next(iterator)
  clock[0] += 1.0
  assert iterator.busy_fraction() == pytest.approx(0.2)  # 4 s in 5 s.
  assert iterator.waits_for() == 0.0


def test_a_killed_node_is_named_before_those_that_miss_it(tmp_path):
  records = supervision.Records(str(tmp_path))
  records.add_failure(supervision.Failure('actor/0', 'OSError', time=1.0))
  records.add_failure(
    supervision.Failure('replay/0', 'signal 9', time=2.0, killed=True)
  )
  records.add_failure(supervision.Failure('actor/0', 'another error', time=3.0))
  assert [(f.node, f.reason) for f in records.failures()] == [
    ('replay/0', 'signal 9'),
    ('actor/0', 'OSError'),
  ]


def test_a_full_disk_is_one_line_of_whichever_nodes_meet_it(tmp_path, monkeypatch):
  monkeypatch.setenv(supervision.FOLDER_VARIABLE, str(tmp_path))
  full = OSError(errno.ENOSPC, 'No space left on device')
  log = mock.Mock(write=mock.Mock(side_effect=full))  # On that disk, too.
  monkeypatch.setattr(sys, 'stderr', log)
  for node in ('learner/0', 'evaluator/0'):
    supervision.report_failure(node, full)
  launched = launching._Launch(str(tmp_path), str(tmp_path), 1.0, 'local')
  with pytest.raises(launching.NodeFailedError) as error:
    launched._outcome(1)
  assert str(error.value) == (
    'Node learner/0 failed: OSError: [Errno 28] No space left on device'
  )


def test_only_the_learner_may_see_an_accelerator_or_use_many_threads(
  program, monkeypatch
):
  monkeypatch.setenv('XLA_FLAGS', '--xla_dump_to=x')
  found = resources.local_resources(program)
  assert set(found) == set(program.groups)
  assert found.pop('learner').env == {}
  for process in found.values():
    assert process.env['JAX_PLATFORMS'] == 'cpu'
    assert process.env['CUDA_VISIBLE_DEVICES'] == ''
    assert process.env['OMP_NUM_THREADS'] == '1'
    assert process.env['XLA_FLAGS'] == (
      '--xla_dump_to=x --xla_cpu_multi_thread_eigen=false'
    )


def test_every_node_unpickles_this_package_before_acme(program, tmp_path):
  flags.FLAGS(['test'])  # What a node is bound to is asked of flags.
  for label, nodes in program.groups.items():
    for node in nodes:
      node._initialize_context(lp_context.LaunchType.LOCAL_MULTI_PROCESSING, None)
      node.bind_addresses()
    modules = []

    class Recorder(pickle.Unpickler):
      def find_class(self, module, name, modules=modules):
        modules.append(module)
        return super().find_class(module, name)

    path = tmp_path / label
    serialization.serialize_functions(
      str(path), label, [node.function for node in nodes]
    )
    with path.open('rb') as file:
      functions = Recorder(file).load()
    assert modules[0].startswith('iq_acme'), label
    assert len(functions) == len(nodes) and all(map(callable, functions))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'num_actors': 0}, 'num_actors is 0'),
    ({'max_number_of_steps': 0}, 'max_number_of_steps is 0'),
    ({'evaluation_period': 2.5}, r'evaluation_period is 2\.5'),
    ({'workdir': ''}, 'workdir is empty'),
    ({'seed': -1}, 'seed is -1'),
  ],
)
def test_bad_settings_are_refused_when_the_program_is_made(tmp_path, changes, message):
  arguments = {
    'num_actors': 1,
    'max_number_of_steps': 10,
    'workdir': str(tmp_path),
    'config': tiny_config(),
    **changes,
  }
  with pytest.raises(ValueError, match=message):
    make_distributed_iq(distributed_programs.TinyFactory(), **arguments)
  assert os.listdir(tmp_path) == []


def test_a_program_that_is_killed_says_that_it_saved_nothing(tmp_path, capsys):
  launched = launching._Launch(str(tmp_path), str(tmp_path), 1.0, 'local')
  launched._stop.received = 2
  assert launched._outcome(-9).counts == {}
  assert capsys.readouterr().out == ''  # Nothing to save before it was set up.
  supervision.Records(str(tmp_path)).mark_opened()
  assert launched._outcome(-9).signal_number == 2
  assert 'unsaved' in capsys.readouterr().out


def test_launch_type_that_is_not_of_one_machine_is_refused(program):
  with pytest.raises(ValueError, match=r"launch_type is 'vertex_ai'.*local_mp"):
    launch(program, 'vertex_ai')
