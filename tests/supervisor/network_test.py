"""Who can reach the servers of a program; of processes, `programs_test` says it."""

import os
import signal

import psutil
import pytest
from distributed_programs import NODES, has_checkpoint, make_program, when
from outer_network import outer_address, reach

from iq_acme import launch
from iq_acme.compat import loopback
from iq_acme.supervisor import launching


@pytest.mark.parametrize('listen', ['local', 'all'])
def test_nodes_in_threads_answer_other_machines_only_if_told_to(tmp_path, listen):
  outer_address()  # Or there is nothing to be seen.
  workdir, found = str(tmp_path), []

  def look():
    try:
      (launcher,) = psutil.Process().children()
      found.extend(reach(launcher.pid))
    finally:
      os.kill(os.getpid(), signal.SIGINT)

  looker = when(lambda: has_checkpoint(workdir), look)
  program, logs = make_program(workdir), os.path.join(workdir, 'logs')
  result = launch(program, 'local_mt', log_dir=logs, listen=listen)
  looker.join()
  assert result.signal_number == signal.SIGINT and result.counts['actor_steps'] >= 100
  assert found == [(True, listen == 'all')] * len(NODES)


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
