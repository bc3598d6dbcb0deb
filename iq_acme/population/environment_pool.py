"""Many environments stepped at once, in processes of their own.

A worker process has a share of each batch's environments. What they see and do lies in
shared memory; a step costs one packet to each worker and one back. Neither threads nor
this process are as fast: `python -m experiments.benchmark` has a row of each.
"""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dm_env
import numpy as np
from dm_env import specs

from iq_acme import process
from iq_acme.episodes import Episode
from iq_acme.population import environment_worker as worker_protocol
from iq_acme.spec_checks import make_environment_spec

# Between calls of `waiting`, which may ask whether to go on at all.
_LOOK_SECONDS = 1.0
# How long all workers together have to close their environments.
_CLOSE_SECONDS = 2.0
_START = 'from iq_acme.population.environment_worker import main; main({}, {})'


class StepResults(NamedTuple):
  """What a step of N environments led to; zeros in the row of one that took none.

  Attributes:
    next_observation: [N, ...] float32; at an episode's end its last observation.
    reward: [N] float32.
    discount: [N] float32; 0 if the episode terminated.
    last: [N] bool, whether the episode ended.
    episodes: by index, those that ended.
    failures: by index, the traceback of an environment that raised, or how its process
      ended. It is not stepped any more.
  """

  next_observation: np.ndarray
  reward: np.ndarray
  discount: np.ndarray
  last: np.ndarray
  episodes: dict[int, Episode]
  failures: dict[int, str]


class EnvironmentPool:
  """Worker processes, which end with this one, and batches of environments in them.

  Workers start as batches need them, and take no notice of signals that ask for a stop.
  To be used by one thread, which must not end before the pool is closed: the system
  ends a process with the thread that started it.

  Attributes:
    environment_spec: of the task.
  """

  def __init__(
    self,
    make_environment: Callable[[int], dm_env.Environment],
    num_workers: int | None = None,
    *,
    waiting: Callable[[float], None] = lambda seconds: None,
  ):
    """Makes one environment here, to see what it is like.

    Args:
      make_environment: makes an environment from a seed. It is pickled.
      num_workers: the most processes; as many as this one may use cores if None.
      waiting: called every second that environments take to be made or to step, with
        the seconds so far. What it raises comes out of `open` or `receive`.

    Raises:
      ValueError: `make_environment` cannot be had in another process, an observation or
        action of it is not one array, or `num_workers` is not positive.
    """
    if num_workers is not None and num_workers < 1:
      raise ValueError(f'num_workers must be None or at least 1, got {num_workers}')
    self._pickled = _pickle(make_environment)
    with contextlib.closing(make_environment(0)) as environment:
      self.environment_spec = make_environment_spec(environment)
    for part in ('observations', 'actions'):
      spec = getattr(self.environment_spec, part)
      if not isinstance(spec, specs.Array):
        raise ValueError(
          f'the {part} of an environment must be one array, got {spec!r}; '
          '`iq_acme.make_environment` makes such'
        )
    self._max_workers = num_workers or len(os.sched_getaffinity(0))
    self._waiting = waiting
    self._workers: list[_Worker] = []
    self._batches: dict[int, EnvironmentBatch] = {}
    self._num_opened = 0

  def open(self, seeds: Sequence[int]) -> 'EnvironmentBatch':
    """Makes and resets environments, the first time once the workers have started.

    Args:
      seeds: one for each environment.
    """
    num_workers = min(self._max_workers, len(seeds))
    self._workers = [worker for worker in self._workers if worker.is_running()]
    while len(self._workers) < num_workers:
      self._workers.append(_Worker(self._pickled))
    number = self._num_opened
    self._num_opened += 1
    batch = self._batches[number] = EnvironmentBatch(self, number)
    batch._open(seeds, self._workers[:num_workers], self.environment_spec)
    return batch

  def close(self) -> None:
    """Ends the workers, whatever they are doing."""
    for batch in list(self._batches.values()):
      batch.close()
    deadline = time.monotonic() + _CLOSE_SECONDS
    for worker in self._workers:
      worker.start_to_close()
    for worker in self._workers:
      worker.end(max(0.0, deadline - time.monotonic()))
    self._workers = []

  def __enter__(self) -> 'EnvironmentPool':
    return self

  def __exit__(self, *unused_exception: Any) -> None:
    self.close()

  def _await_message(self, worker: '_Worker', since: float) -> None:
    """Waits for a worker's next message, and hands it to the batch it is for."""
    try:
      message = worker.receive()
    except TimeoutError:
      self._waiting(time.monotonic() - since)
      return
    if not message:
      reason = f'The process of this environment {worker.end(_LOOK_SECONDS)}.'
      for batch in self._batches.values():
        batch._lose(worker, reason)
    elif len(message) == 4:
      if batch := self._batches.get(int.from_bytes(message, 'little')):
        batch._pending.discard(worker)
    else:
      news = pickle.loads(message)
      if batch := self._batches.get(news.batch):
        batch._take(news.index, news.value)


class EnvironmentBatch:
  """N environments that are stepped at once; `EnvironmentPool.open` makes it.

  Environment i goes through what `EnvironmentStepper` would in an environment of seed
  i, but for the reset, which is here in an episode's last step.

  Attributes:
    observations: [N, ...] float32, to act on next: after an episode's end the first of
      the next episode. Zeros for environments that have failed.
  """

  observations: np.ndarray

  def __init__(self, pool: EnvironmentPool, number: int):
    self._pool = pool
    self._number = number
    self._episodes: dict[int, Episode] = {}
    self._failures: dict[int, str] = {}
    self._pending: set[_Worker] = set()
    self._sent: np.ndarray | None = None

  def send(
    self, actions: np.ndarray, active: Sequence[bool] | np.ndarray | None = None
  ) -> None:
    """Starts a step; `receive` is to be called before the next one.

    Args:
      actions: [N, D].
      active: [N], which environments take the step; all that have not failed if None.

    Raises:
      ValueError: an argument has another shape.
      RuntimeError: the last step was not received.
    """
    if self._sent is not None:
      raise RuntimeError('receive() what was sent before sending the next actions')
    actions = np.asarray(actions)
    active = self._alive if active is None else np.asarray(active, bool)
    if actions.shape != self._rows.actions.shape or active.shape != self._alive.shape:
      raise ValueError(
        f'actions and active must have shapes {self._rows.actions.shape} and '
        f'{self._alive.shape}, got {actions.shape} and {active.shape}'
      )
    self._sent = active & self._alive
    self._rows.actions[:] = actions
    self._rows.active[:] = self._sent
    message = worker_protocol.step_message(self._number)
    for worker, share in self._shares.items():
      if self._sent[share].any():
        self._pending.add(worker)
        worker.send(message)

  def receive(self) -> StepResults:
    """Waits for the step that was sent, and returns what it led to.

    If the pool's `waiting` or a signal's handler raises, it can be called again.

    Raises:
      RuntimeError: nothing was sent.
    """
    if self._sent is None:
      raise RuntimeError('send() actions before receiving what they lead to')
    self._wait()
    taken, rows = self._sent & self._alive, self._rows
    self._sent = None
    self.observations = _rows_of(self._alive, rows.observations)
    results = StepResults(
      next_observation=_rows_of(taken, rows.next_observations),
      reward=_rows_of(taken, rows.rewards),
      discount=_rows_of(taken, rows.discounts),
      last=_rows_of(taken, rows.last),
      episodes=self._episodes,
      failures=self._failures,
    )
    self._episodes, self._failures = {}, {}
    return results

  def close(self) -> None:
    """Closes the environments, once they have taken the step that was sent."""
    if self._pool._batches.pop(self._number, None) is not None:
      message = pickle.dumps(worker_protocol.Closing(self._number))
      for worker in self._shares:
        worker.send(message)

  def _open(self, seeds: Sequence[int], workers: list['_Worker'], spec: Any) -> None:
    parts = np.array_split(np.arange(len(seeds)), len(workers))
    self._shares = {w: slice(p[0], p[-1] + 1) for w, p in zip(workers, parts)}
    self._alive = np.ones(len(seeds), bool)
    self._pending = set(workers)
    # In memory without a name, of which nothing is left however the processes end.
    file = os.memfd_create('iq_acme_environments')
    for worker, share in self._shares.items():
      opening = worker_protocol.Opening(
        self._number,
        int(share.start),
        int(share.stop),
        len(seeds),
        spec.observations.shape,
        *spec.actions.shape,
      )
      if worker is workers[0]:
        self._rows = worker_protocol.map_rows(opening, file)
        self._rows.seeds[:] = seeds
      worker.send(pickle.dumps(opening))
      worker.send(b'0', file)
    os.close(file)
    self._wait()
    self.observations = _rows_of(self._alive, self._rows.observations)

  def _wait(self) -> None:
    since = time.monotonic()
    while self._pending:
      self._pool._await_message(next(iter(self._pending)), since)

  def _take(self, index: int, value: Episode | str) -> None:
    if isinstance(value, Episode):
      self._episodes[index] = value
    else:
      self._failures[index] = value
      self._alive[index] = False

  def _lose(self, worker: '_Worker', reason: str) -> None:
    self._pending.discard(worker)
    if share := self._shares.get(worker):
      for index in range(share.start, share.stop):
        if self._alive[index]:
          self._take(index, reason)


class _Worker:
  """A worker process, as the pool sees it."""

  def __init__(self, pickled: bytes):
    """Starts it, with the pickled factory of its environments."""
    self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    self._socket.settimeout(_LOOK_SECONDS)
    with theirs:
      self._process = subprocess.Popen(
        [sys.executable, '-c', _START.format(os.getpid(), theirs.fileno())],
        env={
          **os.environ,
          **process.thread_variables(1),
          'JAX_PLATFORMS': 'cpu',  # If an environment is made of it.
          'CUDA_VISIBLE_DEVICES': '',
          'PYTHONPATH': process.import_path(),
          'PYTHONFAULTHANDLER': '1',
        },
        stdin=subprocess.PIPE,
        pass_fds=[theirs.fileno()],
        start_new_session=True,  # Out of reach of the terminal's Ctrl-C.
      )
    with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
      pipe.write(pickled)

  def is_running(self) -> bool:
    return self._process.poll() is None

  def send(self, message: bytes, file: int | None = None) -> None:
    """Sends a packet; to one that has ended, as `receive` tells, it comes to nothing."""
    with contextlib.suppress(OSError):
      if file is None:
        self._socket.send(message)
      else:
        socket.send_fds(self._socket, [message], [file])

  def receive(self) -> bytes:
    """Returns the next packet, b'' from one that has ended.

    Raises:
      TimeoutError: if there is none for a second.
    """
    try:
      return self._socket.recv(worker_protocol.MAX_MESSAGE_BYTES)
    except ConnectionError:  # It ended before it had read everything.
      return b''

  def start_to_close(self) -> None:
    """Has it close its environments and end."""
    self._socket.close()

  def end(self, patience: float) -> str:
    """Waits so many seconds for its end, then kills it; says how it ended."""
    self._socket.close()
    try:
      self._process.wait(patience)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
    return process.describe_exit(self._process.returncode)


def _rows_of(mask: np.ndarray, array: np.ndarray) -> np.ndarray:
  """Returns a copy of an array [N, ...], with zeros outside of the mask [N]."""
  array = array.copy()
  if not mask.all():
    array[~mask] = 0
  return array


def _pickle(make_environment: Callable[[int], dm_env.Environment]) -> bytes:
  try:
    pickled = pickle.dumps(make_environment)
  except Exception as error:
    reason = f'{type(error).__name__}: {error}'
  else:
    if b'__main__' not in pickled:
      return pickled
    reason = 'it is of __main__, the script that is run'
  raise ValueError(
    'make_environment must be a function of a module, or functools.partial of one, for '
    f'other processes to import; got {make_environment!r}: {reason}'
  )
