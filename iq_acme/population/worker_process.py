"""A worker process of an `EnvironmentPool`, as the pool sees it."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable

import dm_env

from iq_acme import process
from iq_acme.population.environment_worker import MAX_MESSAGE_BYTES

# How long to wait for a packet before asking whether to go on at all.
LOOK_SECONDS = 1.0
_START = 'from iq_acme.population.environment_worker import main; main({}, {})'


class WorkerProcess:
  """Starts a process, passes packets on, and ends it."""

  def __init__(self, pickled: bytes):
    """Starts it.

    Args:
      pickled: the factory of its environments.
    """
    self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    self._socket.settimeout(LOOK_SECONDS)
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
    """Returns whether it has not ended yet."""
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
      return self._socket.recv(MAX_MESSAGE_BYTES)
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


def pickle_factory(make_environment: Callable[[int], dm_env.Environment]) -> bytes:
  """Pickles what makes an environment from a seed.

  Raises:
    ValueError: another process could not import it.
  """
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
