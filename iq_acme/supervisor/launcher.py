"""The process between `launch` and the nodes, in which Launchpad runs.

Launchpad takes signals over, leaves its waiting to `atexit`, where an error no longer
changes the exit status, and in local_mt kills the process that it runs in. Here that
process is not the user's script or notebook.

  python -m iq_acme.supervisor.launcher <folder of a launch>
"""

import os
import pickle
import signal
import subprocess
import sys
import time
from typing import Any

from absl import flags

from iq_acme import process
from iq_acme.storage import files
from iq_acme.supervisor import supervision

# Once everything is written, how long nodes have to go by themselves.
_END_SECONDS = 3.0
# When a node has failed, how long others are given to fail too: of a replay server that
# was killed and an actor that misses it, the one that was killed is to be named.
_FAILURE_SECONDS = 0.5
_POLL_SECONDS = 0.05


def main(folder: str) -> None:
  """Launches the program of a folder, and ends this process with it."""
  process.die_with_parent(int(os.environ[supervision.LAUNCHER_VARIABLE]))
  os.environ[supervision.LAUNCHER_VARIABLE] = str(os.getpid())  # Of the nodes.
  records = supervision.Records(folder)
  with open(os.path.join(folder, supervision.JOB), 'rb') as file:
    job = pickle.load(file)
  flags.FLAGS(['launcher'])  # absl's, which nothing has parsed in this process.

  import launchpad as lp

  manager = lp.launch(
    job['program'],
    job['launch_type'],
    local_resources=job['local_resources'],
    # The only one by which Launchpad hears of a process that was killed. It needs no
    # window either, so it works over ssh.
    terminal='output_to_files',
  )
  # Launchpad tells that a worker has ended, but not which.
  workers = {
    name: worker
    for name, (worker, *_) in dict(manager._active_workers).items()
    if isinstance(worker, subprocess.Popen)
  }
  _write_process_ids(workers)
  succeeded = _follow(records, workers)
  _end(workers, wait=succeeded)
  os._exit(0 if succeeded else 1)


def _write_process_ids(workers: dict[str, subprocess.Popen]) -> None:
  path = os.path.join(os.environ['LAUNCHPAD_LOGGING_DIR'], 'processes.json')
  files.write_json(path, {name: worker.pid for name, worker in workers.items()})


def _follow(records: supervision.Records, workers: dict[str, subprocess.Popen]) -> bool:
  """Waits for the program's end; returns whether it was an orderly one."""
  while True:
    if records.result() is not None:
      return True
    if _record_deaths(records, workers) or records.failures():
      time.sleep(_FAILURE_SECONDS)
      _record_deaths(records, workers)
      return False
    time.sleep(_POLL_SECONDS)


def _record_deaths(
  records: supervision.Records, workers: dict[str, subprocess.Popen]
) -> bool:
  """Records the processes that have ended by themselves, and not well."""
  died = False
  for name, worker in workers.items():
    status = worker.poll()
    # Actors end by themselves when no step is left; nobody else does.
    if status is None or (status == 0 and name.startswith('actor/')):
      continue
    died = True
    reason = process.describe_exit(status)
    records.add_failure(
      supervision.Failure(name, reason, time=time.time(), killed=status < 0)
    )
  return died


def _end(workers: dict[str, Any], wait: bool) -> None:
  """Ends all nodes; they have processes of this one's group."""
  signal.alarm(0)  # Launchpad's own countdown.
  deadline = time.monotonic() + (_END_SECONDS if wait else 0.0)
  while time.monotonic() < deadline and any(w.poll() is None for w in workers.values()):
    time.sleep(_POLL_SECONDS)
  for worker in workers.values():
    worker.kill()
    worker.wait()


if __name__ == '__main__':
  main(sys.argv[1])
