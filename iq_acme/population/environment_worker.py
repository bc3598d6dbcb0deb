"""A worker process of an `EnvironmentPool`, and what the pool and it agree on.

Imports no JAX: there are as many workers as cores.
The environments' factory comes by standard input, pickled. Each message on the socket
is a packet. The pool's are the number of a batch, whose active environments are to take
a step, or a pickled `Opening` or `Closing`. The worker answers an `Opening` and each
step with that number, and before that sends a pickled `News` for each episode and
failure. Observations, actions and all else lie in memory that both have mapped.
"""

import contextlib
import mmap
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple

import dm_env
import numpy as np

from iq_acme import process
from iq_acme.episodes import Episode, episode_metrics

MAX_MESSAGE_BYTES = 1 << 16
# Of one packet; the end of a traceback says most.
_MAX_TRACEBACK = 10_000


class Opening(NamedTuple):
  """Asks for the environments of a batch; the memory of its rows comes after it.

  Attributes:
    batch: its number.
    start: the first environment of this worker.
    stop: one beyond its last.
    num_environments: of the whole batch.
    observation_shape: of one observation.
    action_shape: of one action.
    action_dtype: its name.
  """

  batch: int
  start: int
  stop: int
  num_environments: int
  observation_shape: tuple[int, ...]
  action_shape: tuple[int, ...]
  action_dtype: str


class Closing(NamedTuple):
  """Asks to close the environments of a batch; there is no answer."""

  batch: int


class News(NamedTuple):
  """Tells of one environment of a batch: an episode, or the traceback of its failure."""

  batch: int
  index: int
  value: Episode | str


class Rows(NamedTuple):
  """Arrays in shared memory, with a row for each of N environments.

  Attributes:
    seeds: [N] int64.
    actions: [N, ...], of the environment's dtype.
    observations: [N, ...] float32, to act on next.
    next_observations: [N, ...] float32, that the last step led to.
    rewards: [N] float32.
    discounts: [N] float32.
    active: [N] bool, whether to take the step.
    last: [N] bool, whether the step ended the episode.
  """

  seeds: np.ndarray
  actions: np.ndarray
  observations: np.ndarray
  next_observations: np.ndarray
  rewards: np.ndarray
  discounts: np.ndarray
  active: np.ndarray
  last: np.ndarray


def map_rows(opening: Opening, file: int) -> Rows:
  """Maps the rows of a batch; the file, made large enough, may be closed after that."""
  n, shape = opening.num_environments, opening.observation_shape
  fields = Rows(
    seeds=((n,), np.int64),
    actions=((n, *opening.action_shape), np.dtype(opening.action_dtype)),
    observations=((n, *shape), np.float32),
    next_observations=((n, *shape), np.float32),
    rewards=((n,), np.float32),
    discounts=((n,), np.float32),
    active=((n,), np.bool_),
    last=((n,), np.bool_),
  )
  sizes = [int(np.prod(s)) * np.dtype(dtype).itemsize for s, dtype in fields]
  os.ftruncate(file, sum(sizes))
  memory = mmap.mmap(file, sum(sizes))
  offsets = np.cumsum([0, *sizes])
  return Rows(*(np.ndarray(s, t, memory, o) for (s, t), o in zip(fields, offsets)))


def step_message(batch: int) -> bytes:
  """Returns a batch's number as a packet, which no pickle is as short as."""
  return batch.to_bytes(4, 'little')


class _Environments:
  """The environments of one batch that this worker steps."""

  def __init__(
    self,
    make_environment: Callable[[int], dm_env.Environment],
    opening: Opening,
    rows: Rows,
    tell: Callable[[News], None],
  ):
    """Makes and resets them.

    Args:
      make_environment: makes an environment from a seed.
      opening: which of the batch.
      rows: of the batch.
      tell: takes episodes and failures.
    """
    self._make_environment = make_environment
    self._batch = opening.batch
    self._rows = rows
    self._tell = tell
    self._environments: dict[int, dm_env.Environment] = {}
    self._returns: dict[int, float] = {}
    self._lengths: dict[int, int] = {}
    for i in range(opening.start, opening.stop):
      self._attempt(self._make, i)

  def step(self) -> None:
    """Takes a step in those that are active; what has failed is no more among them."""
    actions, active = self._rows.actions.copy(), self._rows.active.tolist()
    for i in [i for i in self._environments if active[i]]:
      self._attempt(self._step, i, actions[i])

  def close(self) -> None:
    """Closes them."""
    for i in list(self._environments):
      self._close(i)

  def _make(self, i: int) -> None:
    self._environments[i] = self._make_environment(int(self._rows.seeds[i]))
    self._reset(i)

  def _step(self, i: int, action: np.ndarray) -> None:
    environment, rows = self._environments[i], self._rows
    timestep = environment.step(action)
    last = timestep.last()
    self._returns[i] += float(timestep.reward)
    self._lengths[i] += 1
    rows.observations[i] = rows.next_observations[i] = timestep.observation
    rows.rewards[i], rows.discounts[i] = timestep.reward, timestep.discount
    rows.last[i] = last
    if last:
      metrics = episode_metrics(environment)
      episode = Episode(self._returns[i], self._lengths[i], metrics)
      self._tell(News(self._batch, i, episode))
      self._reset(i)

  def _reset(self, i: int) -> None:
    self._rows.observations[i] = self._environments[i].reset().observation
    self._returns[i], self._lengths[i] = 0.0, 0

  def _attempt(self, call: Callable[..., None], i: int, *args: np.ndarray) -> None:
    try:
      call(i, *args)
    except Exception as error:
      text = ''.join(traceback.format_exception(error))
      self._tell(News(self._batch, i, text[-_MAX_TRACEBACK:]))
      self._close(i)

  def _close(self, i: int) -> None:
    environment = self._environments.pop(i, None)
    if environment is not None:
      try:
        environment.close()
      except Exception:  # Nothing depends on it any more.
        traceback.print_exc()


def main(parent: int, number: int) -> None:
  """Serves a pool until it closes its end of the socket.

  Args:
    parent: the pool's process id.
    number: the socket's file descriptor.
  """
  for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    # The pool's process decides. No SIG_IGN, which what an environment starts inherits.
    signal.signal(stop, lambda *unused: None)
  process.die_with_parent(parent)
  make_environment = pickle.load(sys.stdin.buffer)
  batches: dict[int, _Environments] = {}
  # The pool may end or close with what it was told unread.
  with socket.socket(fileno=number) as connection, contextlib.suppress(ConnectionError):
    while message := connection.recv(MAX_MESSAGE_BYTES):
      if len(message) == 4:
        batches[int.from_bytes(message, 'little')].step()
        connection.send(message)
        continue
      request = pickle.loads(message)
      if isinstance(request, Closing):
        batches.pop(request.batch).close()
        continue
      _, (file,), *_ = socket.recv_fds(connection, 1, 1)
      rows = map_rows(request, file)
      os.close(file)
      batches[request.batch] = _Environments(
        make_environment,
        request,
        rows,
        lambda news: connection.send(pickle.dumps(news)),
      )
      connection.send(step_message(request.batch))
  for environments in batches.values():
    environments.close()
  os._exit(0)  # Without waiting for threads that environments have left.
