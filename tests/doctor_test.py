"""The doctor tells a working installation from a broken one, and says what to do."""

import importlib.metadata
import sys

import pytest

from iq_acme.compat import doctor, doctor_checks
from iq_acme.compat.doctor_checks import Check

_GOOD = Check('good', 'print("fine")')


def _named(name):
  (check,) = [check for check in doctor_checks.CHECKS if check.name == name]
  return check


def _failure(detail, log=''):
  return doctor.Outcome(_GOOD, ok=False, detail=detail, log=log)


def test_working_imports_end_in_status_zero(capsys):
  assert doctor.main([_GOOD, _named('JAX computes')]) == 0
  printed = capsys.readouterr().out
  assert importlib.metadata.version('dm-acme') in printed
  assert 'Everything that training needs works.' in printed
  assert 'FAILED' not in printed


def test_missing_library_ends_in_status_one_and_says_what_to_do(capsys):
  assert doctor.main([_GOOD, Check('broken', 'import no_such_library')]) == 1
  printed = capsys.readouterr().out
  assert 'FAILED  broken' in printed
  assert "No module named 'no_such_library'" in printed
  assert 'make install' in printed


@pytest.mark.parametrize(
  ('error', 'remedy'),
  [
    ('libpython3.10.so.1.0: cannot open shared object file', '--enable-shared'),
    ('py_client.so: undefined symbol: _ZN6google8protobuf', 'TensorFlow 2.8'),
  ],
)
def test_broken_courier_is_found_and_explained(
  monkeypatch, tmp_path, capsys, error, remedy
):
  (tmp_path / 'courier.py').write_text(f'raise ImportError({error!r})')
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  assert doctor.main([_named('Courier')]) == 1
  printed = capsys.readouterr().out
  assert error in printed
  assert remedy in printed


def test_failure_in_a_grandchild_is_reported_by_its_own_error():
  code = (
    'import subprocess, sys\n'
    'subprocess.check_call([sys.executable, "-c", "import no_such_library"])'
  )
  outcome = doctor.run_check(Check('child', code))
  assert outcome.detail == "ModuleNotFoundError: No module named 'no_such_library'"


def test_crash_of_a_library_is_a_failure_like_any_other():
  outcome = doctor.run_check(Check('crash', 'import os; os.abort()'))
  assert not outcome.ok
  assert outcome.detail == 'crashed with SIGABRT'
  assert 'compiled library' in doctor.advice(outcome)


def test_import_that_never_ends_is_given_up():
  outcome = doctor.run_check(Check('hang', 'import time; time.sleep(60)'), patience=1)
  assert outcome.detail == 'no answer within 1 s'
  assert 'busy' in doctor.advice(outcome)


def test_missing_video_backend_is_information_only(capsys):
  optional = Check('video', 'import no_such_library', required=False)
  assert doctor.main([optional]) == 0
  assert 'no      video' in capsys.readouterr().out


def test_another_python_fails_even_where_every_import_works(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'version_info', (3, 12, 0, 'final', 0))
  assert doctor.main([_GOOD]) == 1
  assert 'Python 3.10 is needed' in capsys.readouterr().out


def test_version_outside_setup_is_marked(monkeypatch, capsys):
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '99.0')
  monkeypatch.setattr(
    importlib.metadata,
    'requires',
    lambda name: ['protobuf<3.20,>=3.19.6', 'jax==0.6.2', 'jax>=99; extra == "x"'],
  )
  doctor.main([_GOOD])
  lines = capsys.readouterr().out.splitlines()
  (protobuf,) = [line for line in lines if line.startswith('protobuf')]
  assert protobuf.split() == ['protobuf', '99.0', 'wanted:', '<3.20,>=3.19.6']
  (jax,) = [line for line in lines if line.startswith('jax ')]
  assert jax.split()[1:] == ['99.0', 'wanted:', '==0.6.2']


@pytest.mark.parametrize(
  ('detail', 'log', 'remedy'),
  [
    ('TypeError: Descriptors cannot be created directly.', '', 'protobuf below 3.20'),
    ('ImportError: numpy.core.multiarray failed to import', '', 'NumPy 1'),
    ("No module named 'pkg_resources'", '', 'setuptools below 81'),
    ("AttributeError: module 'jax' has no attribute 'xla'", '', '_acme_compat.py'),
    ('This version of TensorFlow Probability requires TensorFlow', '', 'first'),
    ('crashed with SIGKILL', '', 'memory'),
    ('SystemError: who knows', 'x.so: undefined symbol: y', 'TensorFlow 2.8'),
    ('SystemError: who knows', '', 'Nothing is known'),
  ],
)
def test_advice_fits_the_error(detail, log, remedy):
  assert remedy in doctor.advice(_failure(detail, log))
