import os
import time

import pytest

from experiments import quiet


def test_reverbs_lines_are_dropped_and_no_others(capfd):
  with quiet.without_reverb_lines():
    os.write(2, b'[reverb/cc/server.cc:71] Started\nDisk full\n')
    os.write(2, b'no end of line')
  os.write(2, b'\n[reverb/cc/server.cc:84] Shutting down\n')
  assert capfd.readouterr().err == (
    'Disk full\nno end of line\n[reverb/cc/server.cc:84] Shutting down\n'
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
