"""Keeps servers of Reverb and Courier to this machine.

Both libraries listen on every interface and take no address, neither asks who calls, and
Courier unpickles what it is sent: whoever reaches a port can run code. So the listening
sockets are bound to the loopback device, right after their server starts. Linux allows
that to any user from 5.7 on.

The environment variable IQ_ACME_LISTEN, which child processes inherit, is the choice:
'local' confines every server of a process that has imported this package, and 'all' none,
not even a local agent's. Unset, only those are confined that call `confine` themselves.
"""

import contextlib
import errno
import functools
import os
import socket
import stat
import types
import warnings
from collections.abc import Iterator
from typing import Any

VARIABLE = 'IQ_ACME_LISTEN'
CHOICES = ('local', 'all')
# Where servers start, by the module of their class.
_STARTS = {'courier.python.py_server': 'Start', 'reverb.server': '__init__'}
MODULES = frozenset(_STARTS)


def choice() -> str | None:
  """Returns what is chosen for this process; None if nothing is.

  Raises:
    ValueError: if it is none of `CHOICES`.
  """
  value = os.environ.get(VARIABLE) or None
  if value is not None and value not in CHOICES:
    raise ValueError(f'{VARIABLE} is {value!r}; it must be one of {CHOICES}.')
  return value


def wrap(module: types.ModuleType) -> None:
  """Lets the servers of a module be confined as they start; idempotent.

  Args:
    module: one of `MODULES`.
  """
  name = _STARTS[module.__name__]
  start = getattr(module.Server, name)
  if hasattr(start, '__wrapped__'):
    return

  @functools.wraps(start)
  def start_and_confine(server: Any, *args: Any, **kwargs: Any) -> None:
    is_local = choice() == 'local'  # Asked first: it may be refused.
    start(server, *args, **kwargs)
    if is_local:
      confine(server.port)

  setattr(module.Server, name, start_and_confine)


def confine(port: int) -> None:
  """Lets only this machine reach a server of this process, unless 'all' is chosen.

  Where that cannot be done the server stays as it is, and a warning says so, once.

  Args:
    port: the server's.
  """
  if choice() == 'all':
    return
  try:
    _bind_to_loopback(port)
  except (OSError, AttributeError) as error:  # Of a system without devices to bind to.
    warnings.warn(_unconfined(error), RuntimeWarning, stacklevel=2)


def problem() -> str | None:
  """Says why servers cannot be confined on this system; None if they can."""
  with socket.create_server(('127.0.0.1', 0)) as server:
    try:
      _bind_to_loopback(server.getsockname()[1])
    except (OSError, AttributeError) as error:
      return _unconfined(error)
  return None


def _unconfined(error: Exception) -> str:
  return (
    'Servers of Reverb and Courier listen on every interface, for they cannot be bound '
    f'to the loopback device here ({error}): keep others out by a firewall.'
  )


def _bind_to_loopback(port: int) -> None:
  """Binds the sockets of this process that listen at a port."""
  found = False
  for name in os.listdir('/proc/self/fd'):
    with _copy_of_socket(int(name)) as copy:
      if copy is not None and _listens_at(copy, port):
        copy.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo\0')
        found = True
  if not found:
    raise OSError(f'nothing of this process listens at port {port}')


@contextlib.contextmanager
def _copy_of_socket(descriptor: int) -> Iterator[socket.socket | None]:
  """Yields a copy, which no other thread closes; None if it is gone or no socket."""
  try:
    copy = os.dup(descriptor)
  except OSError as error:
    if error.errno != errno.EBADF:
      raise
    yield None
    return
  if stat.S_ISSOCK(os.fstat(copy).st_mode):
    with socket.socket(fileno=copy) as found:
      yield found
  else:
    os.close(copy)
    yield None


def _listens_at(candidate: socket.socket, port: int) -> bool:
  return (
    candidate.family in (socket.AF_INET, socket.AF_INET6)
    and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    and candidate.getsockname()[1] == port
  )
