"""What can be reached from outside of this machine."""

import socket

import psutil
import pytest


def find_outer_address():
  """An address of this machine other than the loopback's, if it has one."""
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    try:
      probe.connect(('192.0.2.1', 9))  # Sends nothing: finds the way out.
    except OSError:
      return None
    return probe.getsockname()[0]


def outer_address():
  """That address; skips the test if there is none."""
  return find_outer_address() or pytest.skip('this machine has no outer address')


def reach(pid):
  """Whether a process answers this machine, and others, at each of its ports."""
  address = find_outer_address()
  return [
    (answers('127.0.0.1', port), bool(address) and answers(address, port))
    for port in listening_ports(pid)
  ]


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
