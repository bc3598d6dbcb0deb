"""Whole programs: to their budget, resumed, killed, stopped, side by side."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import distributed_programs
import psutil
import pytest
from distributed_programs import (
  NODES,
  HangingFactory,
  TinyFactory,
  has_checkpoint,
  make_program,
  process_ids,
  read_rows,
  when,
)
from outer_network import outer_address, reach
from tiny_environments import tiny_config

from iq_acme import launch, load_policy
from iq_acme.distributed import NodeFailedError
from iq_acme.replay.shared_ring import error_buffer
from iq_acme.storage.checkpoints import CheckpointStore

SCRIPT = distributed_programs.__file__


def _launch(program, workdir, launch_type='local_mp'):
  return launch(program, launch_type, log_dir=os.path.join(workdir, 'logs'))


def _latest(workdir):
  return CheckpointStore(os.path.join(workdir, 'checkpoints')).latest()


def _progress(workdir):
  with open(os.path.join(_latest(workdir).path, 'progress.json')) as file:
    return json.load(file)


def _assert_all_gone(ids):
  for name, pid in ids.items():
    assert not psutil.pid_exists(pid), f'{name} is left behind'


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """Programs of both launch types and replays that have run side by side, to the end."""
  runs = {}

  def run(kind, launch_type):
    workdir = tmp_path_factory.mktemp(kind)
    seeds = workdir / 'seeds'
    seeds.mkdir()
    # 4 samples an insert, and either side may lead by 16 samples, two batches.
    settings = {
      'config': tiny_config(replay=kind, samples_per_insert=4.0),
      'factory': TinyFactory(str(seeds)),
      'num_actors': 2,
      'evaluation_period': 100,
    }
    program = make_program(str(workdir), num_steps=203, **settings)
    runs[kind] = workdir, settings, _launch(program, str(workdir), launch_type)

  # From threads, where no signal can be taken over.
  threads = [
    threading.Thread(target=run, args=arguments)
    for arguments in (('table', 'local_mt'), ('resident', 'local_mp'))
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(480)
  return runs


@pytest.mark.parametrize('kind', ['table', 'resident'])
def test_program_runs_to_its_budget_beside_another_one(finished, kind):
  folder, _, result = finished[kind]
  workdir = str(folder)
  assert result.finished and result.signal_number is None
  assert result.counts['actor_steps'] == 203
  assert result.counts['replay_inserted'] == 203
  # (203 - 20) steps of learning * 4 samples / batches of 8 is 91.5.
  assert 91 <= result.counts['learner_steps'] <= 91 + 2
  for row in read_rows(workdir, 'learner'):
    lead = (row['replay_inserted'] - 20) * 4 - row['replay_sampled']
    # Workers of a table hold a batch each before the learner gets it.
    assert abs(lead) <= 16 + (4 if kind == 'resident' else 0)
    assert 0 <= row['learner_busy_fraction'] <= 1
  assert _latest(workdir).actor_steps == 203
  assert load_policy(os.path.join(workdir, 'policy.npz')).metadata['actor_steps'] == 203
  evaluations = [row['actor_steps'] for row in read_rows(workdir, 'evaluator')]
  assert evaluations == sorted(set(evaluations)) and evaluations[-1] == 203
  episodes = read_rows(workdir, 'actor')
  assert {row['actor'] for row in episodes} == {0, 1}
  assert {row['episode_length'] for row in episodes} == {7}
  assert not [n for n in os.listdir(workdir) if n.startswith('.program_replay')]

  actions = [json.loads(path.read_text()) for path in (folder / 'seeds').iterdir()]
  acted = sorted(actions, key=len)[-2:]  # Evaluations take a single episode.
  assert sum(map(len, acted)) == 203
  assert acted[0][:10] != acted[1][:10]


def test_program_with_a_table_goes_on_from_its_checkpoint(finished):
  # A resident ring is resumed below, after a kill.
  folder, settings, _ = finished['table']
  workdir = str(folder)
  program = make_program(workdir, num_steps=260, last_evaluation=203, **settings)
  resumed = _launch(program, workdir, 'local_mt')
  assert resumed.counts['actor_steps'] == 260
  # (260 - 20) * 4 / 8 is 120, as if there had been no pause, but for what the table's
  # samplers held at the first end: of at most (203 - 20) * 4 + 16 = 748 samples, 91
  # batches were used, and (260 - 20) * 4 + 16 - 748 = 228 are left for 28 more.
  assert 91 + 28 <= resumed.counts['learner_steps'] <= 120 + 2
  assert resumed.counts['replay_inserted'] == 260
  assert [r['actor_steps'] for r in read_rows(workdir, 'evaluator')][-1] == 260


def test_resume_at_another_ratio_takes_its_sgd_steps_from_there_on(finished):
  folder, *_ = finished['resident']
  workdir, config = str(folder), tiny_config(replay='resident', samples_per_insert=32.0)
  program = make_program(workdir, num_steps=253, config=config)
  # 50 steps of 32 samples are 200 batches of 8; 91 were due before. The learner may lead
  # by as many samples as two inserts pay for, 8 batches.
  due, lead = 91 + 50 * 4, int(error_buffer(config)) // 8
  assert lead == 8
  learner_steps = _launch(program, workdir, 'local_mt').counts['learner_steps']
  assert due <= learner_steps <= due + lead


def test_transitions_of_several_steps_all_arrive_before_the_end(tmp_path):
  # Episodes of 7 steps have 9 transitions of up to 3 steps. Those pay for all SGD steps
  # that are due when steps / 7 * 2 more of them are still to be taken in.
  workdir, config = str(tmp_path), tiny_config(n_step=3)
  program = make_program(workdir, num_steps=700, config=config, checkpoint_period=10**6)
  result = _launch(program, workdir, 'local_mt')
  assert result.finished and result.counts['actor_steps'] == 700
  assert result.counts['replay_inserted'] == 900
  assert _progress(workdir)['actor_steps'] == 700
  assert load_policy(os.path.join(workdir, 'policy.npz')).metadata['actor_steps'] == 700


# Whoever is killed is seen and named in the same way; these three are missed by others
# in ways of their own.
@pytest.mark.parametrize('node', ['actor/0', 'learner/0', 'replay/0'])
def test_killed_node_ends_the_program_and_is_named(tmp_path, node):
  workdir = str(tmp_path)
  kind = 'table' if node == 'replay/0' else 'resident'
  program = make_program(workdir, config=tiny_config(replay=kind))
  ids = {}

  def kill():
    ids.update(process_ids(workdir))
    os.kill(ids[node], signal.SIGKILL)

  killer = when(lambda: has_checkpoint(workdir), kill)
  with pytest.raises(NodeFailedError, match='was killed by signal 9') as failure:
    _launch(program, workdir)
  killer.join()
  assert failure.value.node == node
  assert set(ids) == set(NODES)
  _assert_all_gone(ids)
  if node == 'actor/0':
    _check_resume(workdir)


def _check_resume(workdir):
  """Goes on from the checkpoint with everything that was in it."""
  saved = _progress(workdir)
  rows = len(read_rows(workdir, 'learner'))
  steps = saved['actor_steps'] + 50
  result = _launch(make_program(workdir, num_steps=steps), workdir, 'local_mt')
  assert result.finished
  assert result.counts['actor_steps'] == steps
  # One update a transition from the 20th on, those from before the kill included. A
  # transition that arrived while the checkpoint was made is in it, but not its step.
  inserted = result.counts['replay_inserted']
  assert steps <= inserted <= steps + 10
  assert steps - 20 <= result.counts['learner_steps'] <= inserted - 20 + 2
  first = read_rows(workdir, 'learner')[rows]
  assert first['learner_steps'] > saved['sgd_steps']


@pytest.fixture(scope='module')
def interrupted(tmp_path_factory):
  """A program that is looked at from outside, and then gets Ctrl-C."""
  workdir = str(tmp_path_factory.mktemp('interrupted'))
  process = subprocess.Popen(
    [sys.executable, SCRIPT, workdir, 'local_mp', 'stranger'],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  reached = {}

  def interrupt():
    try:
      reached.update({n: reach(pid) for n, pid in process_ids(workdir).items()})
    finally:
      process.send_signal(signal.SIGINT)

  when(lambda: has_checkpoint(workdir), interrupt)
  out, err = process.communicate(timeout=240)
  return workdir, process.returncode, out, err, reached


def test_ctrl_c_saves_and_leaves_no_process(interrupted):
  workdir, status, out, err, _ = interrupted
  assert status == 0, err
  assert 'finished=False, signal_number=2' in out
  assert 'SIGINT: stopping and saving' in err and 'Traceback' not in err
  _assert_all_gone(process_ids(workdir))
  policy = load_policy(os.path.join(workdir, 'policy.npz'))
  assert policy.metadata['actor_steps'] == _latest(workdir).actor_steps >= 100


def test_no_node_of_processes_answers_other_machines(interrupted):
  outer_address()  # Or there is nothing to be seen.
  *_, reached = interrupted
  assert reached == {name: [(True, False)] for name in (*NODES, 'stranger/0')}


def test_terminal_that_closes_lets_the_program_save(tmp_path):
  workdir = str(tmp_path)
  process = subprocess.Popen(
    [sys.executable, SCRIPT, workdir, 'local_mt'],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  before, children = [], []

  def interrupt():
    before.append(_latest(workdir).actor_steps)
    children.extend(psutil.Process(process.pid).children(recursive=True))
    for pipe in (process.stdout, process.stderr):
      pipe.close()
    for _ in range(2):  # The system's and the shell's.
      process.send_signal(signal.SIGHUP)
      time.sleep(0.2)

  when(lambda: has_checkpoint(workdir), interrupt)
  process.wait(timeout=240)
  assert children and not any(child.is_running() for child in children)
  policy = load_policy(os.path.join(workdir, 'policy.npz'))
  assert policy.metadata['actor_steps'] == _latest(workdir).actor_steps > before[0]


def test_killed_launch_takes_its_nodes_along(tmp_path):
  workdir = str(tmp_path)
  process = subprocess.Popen([sys.executable, SCRIPT, workdir])
  when(lambda: os.path.exists(tmp_path / 'logs' / 'processes.json'), process.kill)
  assert process.wait(timeout=240) == -signal.SIGKILL
  ids = process_ids(workdir)
  psutil.wait_procs(
    [psutil.Process(p) for p in ids.values() if psutil.pid_exists(p)], 60
  )
  _assert_all_gone(ids)


def test_budget_is_reached_without_those_that_hang(tmp_path, capsys):
  workdir = str(tmp_path)
  program = make_program(
    workdir,
    num_steps=400,
    num_actors=2,
    factory=HangingFactory({'actor/0': 33, 'evaluator/0': 3}),
    environment_patience=3,
  )
  result = _launch(program, workdir, 'local_mt')
  assert result.finished and result.counts['actor_steps'] == 400
  assert _progress(workdir)['actor_steps'] == 400
  assert load_policy(os.path.join(workdir, 'policy.npz')).metadata['actor_steps'] == 400
  told = capsys.readouterr().out
  assert 'actor/0: its environment has not returned from step for ' in told
  assert 'steps that it had claimed go to other actors' in told
  assert 'actor/1:' not in told
  assert 'evaluator/0: its environment has not returned from step' in told
  assert 'The end is without it.' in told


def test_ctrl_c_saves_what_is_there_without_an_actor_that_hangs(tmp_path, capsys):
  workdir = str(tmp_path)
  program = make_program(
    workdir,
    factory=HangingFactory({'actor/0': 133}, keeps_lock=True),
    environment_patience=3,
  )

  def hangs():
    told = capsys.readouterr().out  # Before its first step it is silent as well.
    return has_checkpoint(workdir) and 'actor/0 has not been heard of for' in told

  when(hangs, lambda: os.kill(os.getpid(), signal.SIGINT))
  result = _launch(program, workdir)
  assert result.signal_number == signal.SIGINT
  # Claims are of ten steps: of the one that begins at 130 nothing is counted.
  assert result.counts['actor_steps'] == _progress(workdir)['actor_steps'] == 130
  policy = load_policy(os.path.join(workdir, 'policy.npz'))
  assert policy.metadata['actor_steps'] == 130
  end = capsys.readouterr().out
  assert 'The end is without the 10 steps that it had claimed.' in end
  assert end.count('actor/0') == 1 and 'evaluator/0' not in end
  _assert_all_gone(process_ids(workdir))


def test_error_in_a_node_is_told_with_its_traceback(tmp_path):
  program = make_program(str(tmp_path), factory=TinyFactory(raise_at=30))
  with pytest.raises(NodeFailedError, match='this environment has had enough') as error:
    launch(program, 'local_mt')
  assert error.value.node == 'actor/0'
  assert 'ArithmeticError' in str(error.value) and 'in step' in str(error.value)
