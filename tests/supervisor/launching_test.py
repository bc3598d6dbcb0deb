"""What `launch` leaves behind, and what it says of a crash."""

import os
import tempfile
import threading
import types

import pytest

from iq_acme import launch
from iq_acme.storage import locking
from iq_acme.supervisor import launching, supervision


def test_a_program_that_cannot_be_pickled_leaves_no_folder(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  program = types.SimpleNamespace(groups={}, part=threading.Lock())
  with pytest.raises(TypeError, match='pickle'):
    launch(program, 'local_mt')
  assert os.listdir(tmp_path) == []


def test_folders_of_killed_launches_go_and_no_others(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  names = {'killed', 'running', 'kept_for_its_logs', 'somebody_elses', 'has_no_lock'}
  for name in names:
    folder = tmp_path / f'{supervision.FOLDER_PREFIX}{name}'
    folder.mkdir()
    if name != 'kept_for_its_logs':
      (folder / supervision.JOB).touch()
    if name != 'has_no_lock':  # Of an older version, and maybe running.
      (folder / supervision.LOCK).touch()
  (tmp_path / 'other').mkdir()
  stat = os.stat

  def another_user(path, **options):
    found = stat(path, **options)
    if str(path).endswith('somebody_elses'):
      return types.SimpleNamespace(st_uid=found.st_uid + 1)
    return found

  monkeypatch.setattr(os, 'stat', another_user)
  running = tmp_path / f'{supervision.FOLDER_PREFIX}running' / supervision.LOCK
  with locking.FileLock(str(running)):
    supervision.remove_abandoned_folders()
  left = {name.removeprefix(supervision.FOLDER_PREFIX) for name in os.listdir(tmp_path)}
  assert left == names - {'killed'} | {'other'}


def test_last_words_of_a_crash_are_its_message_and_the_thread_that_crashed():
  noise = [f'line {i}\n' for i in range(500)]
  assert launching.last_words(noise) == noise[-60:]
  assert launching.last_words(noise[:3]) == noise[:3]
  crash = ['check failed\n', 'Fatal Python error: Aborted\n', 'Thread 0x1\n']
  words = launching.last_words([*noise, *crash, *noise])
  assert set(crash) < set(words) and len(words) == 60
  assert words.index('check failed\n') < 15
