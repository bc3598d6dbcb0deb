"""Populations as processes: what signals and kills leave, and hanging environments."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from repository import HELPERS, ROOT
from small_population import SMALL, bad, evaluated

from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory

pytestmark = pytest.mark.core


def start(root, *arguments):
  command = [sys.executable, '-m', 'iq_acme', 'train', *SMALL, f'--workdir={root}']
  return subprocess.Popen(
    [*command, '--num_threads=1', '--seeds=0-2', '--num_steps=1000000', *arguments],
    cwd=ROOT,
    env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(HELPERS)])},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def wait_until(condition, process):
  deadline = time.monotonic() + 240
  while not condition():
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.05)


def children(process):
  """Returns the process ids of a process's children."""
  found = []
  for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
    try:
      parent = path.read_text().rpartition(')')[2].split()[1]
    except OSError:  # It has ended meanwhile.
      continue
    if int(parent) == process.pid:
      found.append(int(path.parent.name))
  return found


def end(process, number):
  """Sends a signal; returns the status and the output, once no worker is left."""
  workers = children(process)
  assert workers
  process.send_signal(number)
  out, err = process.communicate(timeout=120)
  deadline = time.monotonic() + 20
  while any(os.path.exists(f'/proc/{worker}') for worker in workers):
    assert time.monotonic() < deadline, 'workers are left'
    time.sleep(0.05)
  return process.returncode, out, err


def test_ctrl_c_and_kill_leave_what_the_same_command_goes_on_with(tmp_path):
  first = RunDirectory(str(tmp_path / 'm_iq/seed_0'))
  last = RunDirectory(str(tmp_path / 'm_iq/seed_2'))

  def steps():
    return int((metrics_files.read_rows(last.evaluations) or [{}])[-1]['actor_steps'])

  process = start(tmp_path)
  wait_until(lambda: metrics_files.read_rows(last.train), process)
  status, out, err = end(process, signal.SIGINT)
  assert status == 130 and 'SIGINT: finishing this step and saving.' in err
  saved = first.read_summary()['actor_steps']
  assert saved == last.read_summary()['actor_steps'] >= 20
  assert f'Stopped at step {saved:,}. To go on:\n  ' in out and '--seeds=0-2' in out
  assert not last.read_summary()['finished']
  assert 'Traceback' not in out + err

  process = start(tmp_path, '--checkpoint_period=50')
  wait_until(lambda: first.read_summary()['actor_steps'] >= saved + 50, process)
  wait_until(lambda: steps() >= saved + 60, process)
  status, out, _ = end(process, signal.SIGKILL)
  assert status == -signal.SIGKILL and f'Resumed at step {saved:,} from' in out

  process = start(tmp_path)
  before = steps()
  wait_until(lambda: steps() > before, process)
  status, out, err = end(process, signal.SIGTERM)
  assert status == 143 and 'Resumed at step' in out and 'Traceback' not in out + err
  for seed in range(3):
    found = evaluated(tmp_path / f'm_iq/seed_{seed}')
    assert found == list(range(0, found[-1] + 1, 20))


@pytest.mark.parametrize(('at', 'step'), [(25, 25), ('reset', 0)])
def test_an_environment_that_hangs_is_given_up_at_ctrl_c(tmp_path, at, step):
  process = start(tmp_path, *bad(1, at, 'hang'), '--environment_patience=1')
  other = RunDirectory(str(tmp_path / 'm_iq/seed_2'))
  line = ''
  while 'has not returned for' not in line or (
    step and metrics_files.read_rows(other.episodes)[-1]['actor_steps'] < step
  ):
    line = process.stdout.readline()
    assert line, process.communicate()
  status, out, err = end(process, signal.SIGINT)
  assert status == 130 and 'Traceback' not in out + err
  if step:  # Before the first one there is nothing to save.
    assert f'Stopped at step {step}. To go on:' in out
    summary = other.read_summary()
    assert summary['actor_steps'] == step and not summary['finished']
