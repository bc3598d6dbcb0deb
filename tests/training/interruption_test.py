"""Signals, kills and two runs at once, on real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest
from repository import HELPERS

from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

SCRIPT = str(HELPERS / 'runner_fakes.py')


def _start(directory, *arguments):
  return subprocess.Popen(
    [sys.executable, SCRIPT, directory.path, *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _wait_for_steps(directory, count):
  deadline = time.monotonic() + 240
  while len(_steps(directory.episodes)) < count:
    assert time.monotonic() < deadline, 'no episodes'
    time.sleep(0.05)


def _steps(path):
  return [int(row['actor_steps']) for row in metrics_files.read_rows(path)]


def _finish(directory):
  process = _start(directory, '--step_seconds=0')
  out, err = process.communicate(timeout=240)
  assert process.returncode == 0, err
  return out


@pytest.fixture
def directory(tmp_path):
  return RunDirectory(str(tmp_path / 'run'))


@pytest.mark.parametrize(
  ('number', 'status'),
  [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_signal_saves_where_nobody_reads_any_more(directory, number, status):
  process = _start(directory)
  _wait_for_steps(directory, 3)
  for pipe in (process.stdout, process.stderr):  # As Ctrl-C ends `| tee` as well.
    pipe.close()
  process.send_signal(number)
  assert process.wait(timeout=240) == status
  assert directory.read_summary()['actor_steps'] >= _steps(directory.episodes)[-1] > 0
  assert 'Resumed at step' in _finish(directory)


@pytest.mark.parametrize(
  ('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_signal_saves_at_its_step_and_the_run_goes_on_from_there(
  directory, number, status
):
  process = _start(directory)
  _wait_for_steps(directory, 3)
  process.send_signal(number)
  out, err = process.communicate(timeout=240)
  assert process.returncode == status
  assert f'{number.name}: finishing this step' in err
  assert 'Traceback' not in err
  (name,) = os.listdir(directory.checkpoints)
  stopped = int(name.removeprefix('step_'))
  assert stopped >= 21 and f'{stopped:,}  checkpoint' in out
  assert directory.read_summary()['actor_steps'] == stopped

  assert max(_steps(directory.episodes)) <= stopped

  assert f'Resumed at step {stopped:,}' in _finish(directory)
  assert _steps(directory.evaluations) == list(range(0, 501, 10))


def test_request_that_comes_several_times_at_once_is_one(directory):
  process = _start(directory)
  _wait_for_steps(directory, 1)
  for _ in range(5):  # As of a parent of five threads that dies.
    process.send_signal(signal.SIGTERM)
    time.sleep(0.01)
  process.communicate(timeout=240)
  assert process.returncode == 143
  assert directory.read_summary()['actor_steps'] >= _steps(directory.episodes)[-1] > 0


def test_terminal_that_cannot_print_a_sign_gets_a_question_mark(directory):
  done = subprocess.run(
    [sys.executable, SCRIPT, directory.path, '--step_seconds=0'],
    env={**os.environ, 'PYTHONIOENCODING': 'ascii'},
    capture_output=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert b'mode 0.0 ? 0.0' in done.stdout and directory.read_summary()['finished']


@pytest.mark.parametrize('output', ['closed pipe', 'full disk', 'nothing'])
def test_run_reaches_its_end_although_nothing_can_be_printed(directory, output):
  command = [sys.executable, SCRIPT, directory.path, '--step_seconds=0']
  if output == 'nothing':
    status = subprocess.call(['sh', '-c', 'exec "$@" >&- 2>&-', 'sh', *command])
  elif output == 'full disk':
    with open('/dev/full', 'w') as full:
      status = subprocess.call(command, stdout=full, stderr=full)
  else:
    reader, writer = os.pipe()
    os.close(reader)
    status = subprocess.call(command, stdout=writer, stderr=writer)
    os.close(writer)
  assert status == 0 and directory.read_summary()['finished']


def test_second_signal_ends_the_process_at_once_unsaved(directory):
  process = _start(directory, '--hang_in_save')
  _wait_for_steps(directory, 1)
  process.send_signal(signal.SIGINT)
  for line in process.stdout:
    if line == 'hanging\n':
      break
  process.send_signal(signal.SIGINT)
  process.communicate(timeout=240)
  assert process.returncode == -signal.SIGINT
  assert os.listdir(directory.checkpoints) == []


@pytest.mark.parametrize(
  ('kind', 'requests'),
  [('python', [signal.SIGINT]), ('c', [signal.SIGHUP, signal.SIGHUP])],
)
def test_environment_that_hangs_is_named_and_the_second_signal_ends_the_run(
  directory, kind, requests
):
  process = _start(directory, f'--hang_in_step={kind}')
  lines = iter(process.stdout)
  assert any('has not returned from step for' in line for line in lines)
  for number in requests:  # A terminal that closes sends its own twice.
    process.send_signal(number)
    time.sleep(0.5)
  (line,) = [next(line for line in lines if 'once more ends it at once' in line)]
  saved = max(os.listdir(directory.checkpoints))
  assert f'The last checkpoint is {directory.checkpoints}/{saved}; ' in line
  time.sleep(1.0)  # Those that come at once are one request.
  process.send_signal(signal.SIGINT)
  process.communicate(timeout=30)
  assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)


def test_killed_run_starts_again_from_its_last_checkpoint(directory):
  process = _start(directory)
  _wait_for_steps(directory, 2)
  process.kill()
  process.communicate(timeout=240)
  with open(directory.episodes, 'a') as file:
    file.write('999')  # What a kill in the middle of a write leaves.

  _finish(directory)
  episodes = _steps(directory.episodes)
  assert episodes == list(range(7, 500, 7))
  assert _steps(directory.evaluations) == list(range(0, 501, 10))


def test_folder_in_use_is_refused_until_its_run_ends(directory):
  first = _start(directory)
  _wait_for_steps(directory, 1)
  second = _start(directory)
  _, err = second.communicate(timeout=240)
  assert second.returncode == 2
  assert f'process {first.pid}' in err
  first.kill()
  first.communicate(timeout=240)
  with directory.lock():
    pass
