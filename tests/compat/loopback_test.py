"""Servers of this process, and who can reach them."""

import contextlib
import os
import socket
import warnings

import courier
import pytest
import reverb
from outer_network import answers, listening_ports, outer_address
from tiny_environments import NumberedEnvironment, spec_of, tiny_config

from iq_acme import make_iq_agent
from iq_acme.compat import loopback


@contextlib.contextmanager
def _reverb_server():
  table = reverb.Table(
    't',
    reverb.selectors.Fifo(),
    reverb.selectors.Fifo(),
    1,
    reverb.rate_limiters.MinSize(1),
  )
  server = reverb.Server([table])
  yield server.port
  server.stop()


@contextlib.contextmanager
def _courier_server():
  server = courier.Server('test')
  server.Bind('answer', lambda: 42)
  server.Start()
  yield server.port
  server.Stop()


@pytest.mark.parametrize('serving', [_reverb_server, _courier_server])
@pytest.mark.parametrize(('choice', 'is_open'), [('local', False), (None, True)])
def test_servers_of_either_library_are_confined_by_choice(
  serving, choice, is_open, monkeypatch
):
  address = outer_address()
  if choice:
    monkeypatch.setenv(loopback.VARIABLE, choice)
  with serving() as port:
    assert answers('127.0.0.1', port)
    assert answers(address, port) is is_open


@pytest.mark.parametrize('replay', ['resident', 'table'])
def test_local_agent_does_not_answer_other_machines(replay):
  address, before = outer_address(), listening_ports()
  agent = make_iq_agent(
    spec_of(NumberedEnvironment()), config=tiny_config(replay=replay)
  )
  with contextlib.closing(agent):
    (port,) = listening_ports() - before
    assert answers('127.0.0.1', port)
    assert not answers(address, port)


@pytest.mark.filterwarnings('error')
def test_a_socket_that_another_thread_closes_meanwhile_is_no_problem(monkeypatch):
  victim, dup = socket.socket(), os.dup

  def close_then_dup(descriptor):
    if descriptor == victim.fileno():
      victim.close()
    return dup(descriptor)

  monkeypatch.setattr(os, 'dup', close_then_dup)
  with socket.create_server(('127.0.0.1', 0)) as server:
    loopback.confine(server.getsockname()[1])
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b'lo\0'
  assert victim.fileno() == -1


def test_another_choice_is_refused(monkeypatch):
  monkeypatch.setenv(loopback.VARIABLE, 'lo')
  with pytest.raises(ValueError, match=r"IQ_ACME_LISTEN is 'lo'.*'local', 'all'"):
    loopback.confine(1)
  before = listening_ports()
  with pytest.raises(ValueError, match='IQ_ACME_LISTEN') as kept:  # And its frames.
    make_iq_agent(spec_of(NumberedEnvironment()), config=tiny_config())
  assert listening_ports() == before, kept


def test_a_system_that_cannot_confine_says_so_once_and_serves_all(monkeypatch):
  monkeypatch.setattr(socket, 'SO_BINDTODEVICE', 9999)
  assert 'every interface' in loopback.problem() and 'firewall' in loopback.problem()
  monkeypatch.setenv(loopback.VARIABLE, 'local')
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('default')
    for _ in range(2):
      with _courier_server() as port:
        assert answers('127.0.0.1', port)
  assert ['every interface' in str(w.message) for w in caught] == [True]
