"""Who can reach the servers of a program, of each kind of node."""

import os
import signal

import launchpad as lp
import psutil
import pytest
from distributed_programs import (
  NODES,
  has_checkpoint,
  make_program,
  process_ids,
  when,
)
from outer_network import answers, listening_ports, outer_address

from iq_acme import launch
from iq_acme.compat import loopback
from iq_acme.supervisor import launching


class Stranger:
  """Served by a node of Launchpad's own kind."""

  def greet(self):
    return 'hello'


def _reached(program, workdir, launch_type, **options):
  """Runs a program until its first checkpoint.

  Returns:
    By node, for each of the ports that its process listens at: whether it answers this
    machine, and whether it answers others. Of threads, that of all nodes.
  """
  address, found = outer_address(), {}

  def look():
    try:
      ids = process_ids(workdir)
      if not ids:
        (launcher,) = psutil.Process().children()
        ids = {'all': launcher.pid}
      for name, pid in ids.items():
        found[name] = [
          (answers('127.0.0.1', port), answers(address, port))
          for port in listening_ports(pid)
        ]
    finally:
      os.kill(os.getpid(), signal.SIGINT)

  looker = when(lambda: has_checkpoint(workdir), look)
  result = launch(
    program, launch_type, log_dir=os.path.join(workdir, 'logs'), **options
  )
  looker.join()
  assert result.signal_number == signal.SIGINT and result.counts['actor_steps'] >= 100
  return found


def test_no_node_of_processes_answers_other_machines(tmp_path):
  workdir = str(tmp_path)
  program = make_program(workdir)
  program.add_node(lp.CourierNode(Stranger), 'stranger')
  found = _reached(program, workdir, 'local_mp')
  assert found == {name: [(True, False)] for name in (*NODES, 'stranger/0')}


@pytest.mark.parametrize('listen', ['local', 'all'])
def test_nodes_in_threads_answer_other_machines_only_if_told_to(tmp_path, listen):
  workdir = str(tmp_path)
  found = _reached(make_program(workdir), workdir, 'local_mt', listen=listen)
  assert found == {'all': [(True, listen == 'all')] * len(NODES)}


def test_other_choices_are_refused(tmp_path):
  with pytest.raises(ValueError, match=r"listen is 'lo'.*'local', 'all'"):
    launch(make_program(str(tmp_path)), 'local_mt', listen='lo')


def test_launch_says_once_that_a_system_cannot_confine_and_goes_on(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(loopback, 'problem', lambda: 'They listen on every interface.')
  choices = []

  class Launched:
    def __init__(self, *arguments):
      choices.append(arguments[-1])

    def run(self):
      return None

  monkeypatch.setattr(launching, '_Launch', Launched)
  for listen in loopback.CHOICES:
    launch(make_program(str(tmp_path)), 'local_mt', listen=listen)
  assert choices == ['all', 'all']
  assert capsys.readouterr().err == 'They listen on every interface.\n'
