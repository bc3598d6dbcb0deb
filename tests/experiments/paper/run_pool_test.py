"""Runs side by side: real processes of the fake run, stopped and resumed."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from repository import HELPERS, ROOT

from experiments.paper import overview, run_pool
from iq_acme.training import metrics_files, quiet
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError

FAKE = str(HELPERS / 'runner_fakes.py')
# A pool as a program of its own, so that signals can be sent to it.
POOL = textwrap.dedent(f"""
  import sys
  sys.path[:0] = [{os.path.dirname(__file__)!r}, {str(HELPERS)!r}, {str(ROOT)!r}]
  import run_pool_test
  from experiments.paper import run_pool
  options = [a for a in sys.argv[1:] if a.startswith('--')]
  jobs = [
    run_pool_test.make_job(folder, 500, step_seconds=0.005, options=options)
    for folder in sys.argv[1:] if folder not in options
  ]
  outcome = run_pool.run_jobs(jobs, [0, 1], run_pool_test.Lines())
  print(len(outcome.done), len(outcome.failures), len(outcome.not_started))
  sys.exit(outcome.exit_status)
""")


class Lines:
  """Remembers what is said, and most jobs that ran at a time."""

  def __init__(self):
    self.said = []
    self.most = 0

  def update(self, running, outcome):
    self.most = max(self.most, len(running))

  def say(self, text):
    self.said.append(text)


def make_job(
  folder,
  num_steps=50,
  *,
  command=None,
  bytes_needed=0,
  step_seconds=0,
  options=(),
):
  def is_done():
    summary = RunDirectory(folder).read_summary()
    return bool(summary.get('finished')) and summary['actor_steps'] >= num_steps

  def fake_run(core):
    steps = f'--num_steps={num_steps}'
    seconds = f'--step_seconds={step_seconds}'
    return [sys.executable, FAKE, folder, steps, seconds, *options]

  return run_pool.Job(
    os.path.basename(folder),
    folder,
    command or fake_run,
    is_done,
    bytes_needed,
  )


def _evaluated(folder):
  rows = metrics_files.read_rows(RunDirectory(folder).evaluations)
  return [int(row['actor_steps']) for row in rows]


def test_failed_job_is_reported_with_its_last_line_and_the_others_go_on(tmp_path):
  def fail(core):
    return [sys.executable, '-c', 'print("first"); raise SystemExit("no such task\\n")']

  jobs = [
    make_job(str(tmp_path / 'bad'), command=fail),
    make_job(str(tmp_path / 'good')),
  ]
  lines = Lines()
  outcome = run_pool.run_jobs(jobs, [0], lines)
  assert [job.name for job in outcome.done] == ['good']
  assert outcome.failures == [(jobs[0], 'exit status 1: no such task')]
  assert outcome.exit_status == 1
  assert any('FAILED: bad' in line and jobs[0].log in line for line in lines.said)
  assert _read(jobs[0].log) == 'first\nno such task\n\n'


def test_job_that_exits_well_without_being_done_has_failed(tmp_path):
  job = make_job(str(tmp_path / 'x'), command=lambda core: [sys.executable, '-c', ''])
  outcome = run_pool.run_jobs([job], [0], Lines())
  assert outcome.failures == [(job, 'exit status 0: no output')]


def test_finished_jobs_are_not_run_again(tmp_path):
  job = make_job(str(tmp_path / 'run'))
  assert run_pool.run_jobs([job], [0], Lines()).exit_status == 0

  def fail(core):
    raise AssertionError('nothing to do')

  again = make_job(job.folder, command=fail)
  outcome = run_pool.run_jobs([again], [0], Lines())
  assert outcome.done == [again] and outcome.exit_status == 0


def test_no_more_jobs_at_a_time_than_cores_and_each_on_its_own(tmp_path):
  cores = []

  def command(core):
    cores.append(core)
    return [sys.executable, '-c', 'import time; time.sleep(1)']

  jobs = [make_job(str(tmp_path / str(i)), command=command) for i in range(4)]
  lines = Lines()
  run_pool.run_jobs(jobs, [3, 5], lines)
  assert lines.most == 2
  assert cores[:2] == [3, 5] and sorted(cores) == [3, 3, 5, 5]


def test_nothing_is_started_on_a_full_disk(tmp_path):
  job = make_job(str(tmp_path / 'run'), bytes_needed=2**62)
  lines = Lines()
  outcome = run_pool.run_jobs([job], [0], lines)
  assert outcome.not_started == [job] and outcome.exit_status == 1
  assert 'GB are free' in lines.said[0]


def _read(path):
  with open(path) as file:
    return file.read()


def _start_pool(folders, *options, stderr=None):
  process = subprocess.Popen(
    [sys.executable, '-c', POOL, *folders, *options],
    stdout=subprocess.PIPE,
    stderr=stderr,
    text=True,
  )
  deadline = time.monotonic() + 120
  while not all(_episodes(folder) for folder in folders[:2]):
    assert time.monotonic() < deadline and process.poll() is None
    time.sleep(0.05)
  return process


def _episodes(folder):
  return metrics_files.read_rows(RunDirectory(folder).episodes)


def test_half_done_plan_goes_on_where_a_signal_stopped_it(tmp_path):
  folders = [str(tmp_path / name) for name in ('a', 'b', 'c')]
  process = _start_pool(folders)
  process.send_signal(signal.SIGINT)
  out, _ = process.communicate(timeout=60)
  assert process.returncode == 130 and out.split() == ['0', '0', '3']
  stopped = [RunDirectory(f).read_summary()['actor_steps'] for f in folders[:2]]
  assert all(0 < steps < 500 for steps in stopped)
  assert not os.path.exists(folders[2])
  outcome = run_pool.run_jobs([make_job(f, 500) for f in folders], [0, 1], Lines())
  assert len(outcome.done) == 3 and outcome.exit_status == 0
  for folder in folders:
    assert _evaluated(folder) == list(range(0, 501, 10))
  logs = [_read(os.path.join(folder, 'log.txt')) for folder in folders]
  for log, steps in zip(logs, stopped):
    assert f'Resumed at step {steps:,}' in log
  assert 'Resumed' not in logs[2]


def test_runs_save_where_nobody_reads_any_more(tmp_path):
  folders = [str(tmp_path / name) for name in ('a', 'b')]
  process = _start_pool(folders, stderr=subprocess.PIPE)
  process.stderr.close()  # As Ctrl-C ends `| tee` as well.
  process.send_signal(signal.SIGINT)
  process.communicate(timeout=60)
  assert process.returncode == 130
  assert all(RunDirectory(f).read_summary()['actor_steps'] > 0 for f in folders)


def test_runs_save_where_the_pool_ends_by_an_exception(tmp_path):
  folder = str(tmp_path / 'run')

  class Failing(Lines):
    def update(self, running, outcome):
      if _episodes(folder):
        raise KeyError('a defect')

  with pytest.raises(KeyError, match='a defect'):
    run_pool.run_jobs([make_job(folder, 5000, step_seconds=0.005)], [0], Failing())
  assert 0 < RunDirectory(folder).read_summary()['actor_steps'] < 5000


def test_overview_is_silent_where_nobody_reads_any_more(tmp_path, monkeypatch):
  read, write = os.pipe()
  os.close(read)
  with os.fdopen(write, 'w') as closed:
    monkeypatch.setattr(sys, 'stdout', closed)
    with (
      quiet.unbreakable_output(),
      contextlib.closing(overview.Overview({'run': 10})) as shown,
    ):
      shown.update([make_job(str(tmp_path / 'run'))], run_pool.Outcome())
      shown.say('a line')


def test_second_signal_kills_runs_that_hang(tmp_path):
  folders = [str(tmp_path / name) for name in ('a', 'b')]
  process = _start_pool(folders, '--hang_in_save')
  process.send_signal(signal.SIGINT)
  deadline = time.monotonic() + 60
  while not all('hanging' in _read(os.path.join(f, 'log.txt')) for f in folders):
    assert time.monotonic() < deadline
    time.sleep(0.05)
  time.sleep(1.0)  # Those that come at once are one request.
  process.send_signal(signal.SIGINT)
  out, _ = process.communicate(timeout=60)
  assert process.returncode == 130 and out.split() == ['0', '0', '2']
  _wait_for_locks(folders, deadline)


def test_job_that_fails_while_it_stops_is_reported(tmp_path):
  program = """
import signal, time
def fail(*unused):
  raise SystemExit('disk full while saving')
signal.signal(signal.SIGTERM, fail)
print('ready', flush=True)
time.sleep(60)
"""
  job = make_job(
    str(tmp_path / 'run'), command=lambda core: [sys.executable, '-c', program]
  )

  class Stopping(Lines):
    signalled = False  # A second signal would kill it.

    def update(self, running, outcome):
      if running and not self.signalled and 'ready' in _read(job.log):
        self.signalled = True
        signal.raise_signal(signal.SIGINT)

  outcome = run_pool.run_jobs([job], [0], Stopping())
  assert outcome.failures == [(job, 'exit status 1: disk full while saving')]
  assert outcome.exit_status == 130


def test_runs_stop_and_save_when_the_pool_is_killed(tmp_path):
  folders = [str(tmp_path / name) for name in ('a', 'b')]
  process = _start_pool(folders)
  process.kill()
  process.communicate(timeout=60)
  deadline = time.monotonic() + 60
  for folder in folders:
    while 'actor_steps' not in RunDirectory(folder).read_summary():
      assert time.monotonic() < deadline, 'still running'
      time.sleep(0.05)
  _wait_for_locks(folders, deadline)


def _wait_for_locks(folders, deadline):
  """Waits until no process uses a folder any more."""
  for folder in folders:
    while True:
      try:
        with RunDirectory(folder).lock():
          break
      except RunDirectoryError:
        assert time.monotonic() < deadline, 'still running'
        time.sleep(0.05)


def test_overview_shows_each_run_and_the_whole(tmp_path, capsys, monkeypatch):
  now = [1000.0]
  monkeypatch.setattr('time.monotonic', lambda: now[0])
  job, *others = (make_job(str(tmp_path / name), 200) for name in 'abcd')
  os.makedirs(job.folder)
  shown = overview.Overview(dict.fromkeys('abcd', 200))
  outcome = run_pool.Outcome(done=others[:1], failures=[(others[1], 'x')])
  shown.update([job], outcome)
  out = capsys.readouterr().out
  assert 'runs done 1/4, 1 running, 1 waiting, 1 failed' in out and 'a 0/200' in out
  with open(RunDirectory(job.folder).episodes, 'w') as file:
    file.write('actor_steps,episode_return\n7,1.5\n50,2.25\n57,9')  # Half a line.
  for name, damage in (('c', 'actor_steps,x\na,b\n'), ('d', b'\xff\n')):
    pathlib.Path(tmp_path, name).mkdir()
    damage = damage if isinstance(damage, bytes) else damage.encode()
    pathlib.Path(tmp_path, name, 'episodes.csv').write_bytes(damage)
  shown.update([job], outcome)  # Too soon for another.
  assert capsys.readouterr().out == ''
  now[0] += 61
  shown.update([job], outcome)
  assert 'a 50/200, return 2.2, ' in capsys.readouterr().out
  now[0] += 61
  shown.update(others[2:], outcome)
  out = capsys.readouterr().out
  assert 'd 0/200' in out and 'a 50/200' not in out


def test_last_row_of_a_file_with_none(tmp_path):
  path = str(tmp_path / 'x.csv')
  assert metrics_files.last_row(path) == {}
  with open(path, 'w') as file:
    file.write('a,b\n')
  assert metrics_files.last_row(path) == {}
