import os

import pytest

from iq_acme import process


@pytest.fixture
def bound_to(monkeypatch):
  """Keeps this process as it is; returns the cores it would have been bound to."""
  cores = []
  monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1, 2, 3})
  monkeypatch.setattr(os, 'sched_setaffinity', lambda pid, mask: cores.append(mask))
  monkeypatch.setattr(os, 'environ', dict(os.environ))
  return cores


def test_one_thread_reaches_every_library_and_keeps_given_flags(bound_to):
  os.environ['XLA_FLAGS'] = '--xla_dump_to=x'
  process.limit_threads(1)
  assert os.environ['XLA_FLAGS'] == (
    '--xla_dump_to=x --xla_cpu_multi_thread_eigen=false'
  )
  for name in ('OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS', 'NPROC'):
    assert os.environ[name] == '1'
  assert bound_to == []


def test_more_threads_leave_eigen_its_pool(bound_to):
  os.environ['XLA_FLAGS'] = ''
  process.limit_threads(2, first_core=1)
  assert os.environ['XLA_FLAGS'] == ''
  assert os.environ['NPROC'] == '2'
  assert bound_to == [{1, 2}]


def test_cores_that_are_not_there_are_refused(bound_to):
  with pytest.raises(ValueError, match=r'\[3, 4\] asked for'):
    process.limit_threads(2, first_core=3)
  assert bound_to == []
