import os
import signal
import subprocess
import sys
import time

import pytest
from repository import ROOT

from iq_acme.training import quiet


def test_reverbs_lines_are_dropped_and_no_others(capfd):
  with quiet.without_reverb_lines():
    os.write(2, b'[reverb/cc/server.cc:71] Started\nDisk full\n')
    os.write(2, b'last words')
  os.write(2, b'[reverb/cc/server.cc:84] Shutting down\n')
  assert capfd.readouterr().err == (
    'Disk full\nlast words\n[reverb/cc/server.cc:84] Shutting down\n'
  )


def test_other_lines_come_through_while_the_block_goes_on(capfd):
  with quiet.without_reverb_lines():
    os.write(2, b'waiting for replay\n')
    deadline = time.monotonic() + 60
    seen = ''
    while not seen and time.monotonic() < deadline:
      seen = capfd.readouterr().err
    assert seen == 'waiting for replay\n'


def test_standard_error_comes_back_after_an_exception(capfd):
  with pytest.raises(KeyError), quiet.without_reverb_lines():
    raise KeyError
  os.write(2, b'[reverb/cc/x] after\n')
  assert 'after' in capfd.readouterr().err


def test_verbose_lets_all_through(capfd, monkeypatch):
  monkeypatch.setenv('IQ_ACME_VERBOSE', '1')
  with quiet.without_reverb_lines():
    os.write(2, b'[reverb/cc/x] inside\n')
  assert 'inside' in capfd.readouterr().err


def test_no_file_descriptors_are_left_open():
  with quiet.without_reverb_lines():
    pass
  before = len(os.listdir('/proc/self/fd'))
  for _ in range(5):
    with quiet.without_reverb_lines():
      pass
  assert len(os.listdir('/proc/self/fd')) == before


def test_last_words_of_a_crash_are_shown():
  code = (
    'import os\n'
    'from iq_acme.training import quiet\n'
    'with quiet.without_reverb_lines():\n'
    "  os.write(2, b'[reverb/cc/x] Check failed\\nterminate called\\n')\n"
    '  os.abort()\n'
  )
  result = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=60
  )
  assert result.returncode == -signal.SIGABRT
  assert result.stderr == 'terminate called\n'
