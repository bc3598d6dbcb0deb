"""What can be reached from outside of this machine."""

import socket

import psutil
import pytest


def outer_address():
  """An address of this machine other than the loopback's; skips if it has none."""
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    try:
      probe.connect(('192.0.2.1', 9))  # Sends nothing: finds the way out.
    except OSError:
      pytest.skip('this machine has no outer address')
    return probe.getsockname()[0]


def answers(address, port):
  """Whether somebody accepts a connection there."""
  try:
    socket.create_connection((address, port), timeout=5).close()
  except OSError:
    return False
  return True


def listening_ports(pid=None):
  """The ports that a process listens at, for this machine or for all."""
  return {
    connection.laddr.port
    for connection in psutil.Process(pid).net_connections('inet')
    if connection.status == psutil.CONN_LISTEN
  }
