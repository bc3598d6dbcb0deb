"""The doctor tells a working installation from a broken one."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from iq_acme.compat import doctor
from iq_acme.compat.doctor import Check

_GOOD = Check('good', 'print("fine")')


def _named(name):
  (check,) = [check for check in doctor.CHECKS if check.name == name]
  return check


@pytest.fixture
def broken(monkeypatch, tmp_path):
  """Breaks modules for the processes that a test starts."""

  def make(code, *names):
    for name in names:
      (tmp_path / f'{name}.py').write_text(code)
    paths = [str(tmp_path), os.environ.get('PYTHONPATH', '')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, paths)))

  return make


def test_working_imports_end_in_status_zero(capsys):
  assert doctor.main([_GOOD, _named('JAX computes')]) == 0
  printed = capsys.readouterr().out
  assert importlib.metadata.version('dm-acme') in printed
  assert 'Everything that is installed works.' in printed
  assert 'FAILED' not in printed


def test_missing_library_ends_in_status_one_and_says_what_to_do(capsys):
  assert doctor.main([_GOOD, Check('broken', 'import no_such_library')]) == 1
  printed = capsys.readouterr().out
  assert 'FAILED  broken' in printed
  assert "No module named 'no_such_library'" in printed
  assert 'make install' in printed


@pytest.mark.parametrize('name', ['Courier', 'Launchpad in a child process'])
def test_broken_courier_is_found_and_named_by_its_own_error(broken, capsys, name):
  error = 'libpython3.10.so.1.0: cannot open shared object file'
  broken(f'raise ImportError({error!r})', 'courier')
  assert doctor.main([_named(name)]) == 1
  assert f'ImportError: {error}' in capsys.readouterr().out


@pytest.mark.parametrize('error', ['ImportError', 'RuntimeError'])
def test_command_works_where_absl_and_jax_do_not_load(broken, error):
  broken(f'raise {error}("broken")', 'absl', 'jax')
  code = (
    'from iq_acme import __main__\n'
    'from iq_acme.compat import doctor\n'
    'doctor.CHECKS = doctor.CHECKS[:1]\n'
    'raise SystemExit(__main__.main(["doctor"]))\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False
  )
  assert done.returncode == 1, done.stderr
  assert f'FAILED  {doctor.CHECKS[0].name}' in done.stdout
  assert f'{error}: broken' in done.stdout
  assert importlib.metadata.version('dm-acme') in done.stdout


def test_message_of_many_lines_is_shown_by_its_first():
  code = 'raise TypeError("Descriptors cannot be created.\\n 1. Downgrade.")'
  assert doctor.run_check(Check('many', code)) == (
    False,
    'TypeError: Descriptors cannot be created.',
  )


def test_crash_of_a_library_is_a_failure_like_any_other():
  crash = Check('crash', 'import os; os.abort()')
  assert doctor.run_check(crash) == (False, 'crashed with SIGABRT')


def test_import_that_never_ends_is_given_up():
  hang = Check('hang', 'import time; time.sleep(60)')
  assert doctor.run_check(hang, patience=1) == (False, 'no answer within 1 s')


@pytest.mark.parametrize(
  ('arguments', 'status'), [(['--help'], 0), (['-h'], 0), (['--verbose'], 2)]
)
def test_command_takes_no_arguments_but_help(capsys, arguments, status):
  assert doctor.run_command(arguments) == status
  assert 'python -m iq_acme doctor' in capsys.readouterr().out


def test_missing_video_backend_is_information_only(capsys):
  optional = Check('video', 'import no_such_library', required=False)
  assert doctor.main([optional]) == 0
  assert 'no      video' in capsys.readouterr().out


def test_extra_that_is_not_installed_is_not_tried(monkeypatch, capsys):
  find = doctor.package_version
  monkeypatch.setattr(
    doctor, 'package_version', lambda name: None if name == 'dm-acme' else find(name)
  )
  assert (
    doctor.main([_GOOD, Check('Acme', 'import no_such_library', extra='acme')]) == 0
  )
  printed = capsys.readouterr().out
  assert 'absent  [acme]' in printed and 'FAILED' not in printed
  assert 'The agent for Acme needs the extra [acme], on Python 3.10' in printed


def test_version_outside_setup_is_marked(monkeypatch, capsys):
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '99.0')
  monkeypatch.setattr(
    importlib.metadata,
    'requires',
    lambda name: [
      'jax>=0.6',
      'protobuf<3.20,>=3.19.6; extra == "acme"',
      'jax==0.6.2; python_version > "3" and extra == "acme"',
      'jax>=99; extra == "x"',
    ],
  )
  doctor.main([_GOOD])
  lines = capsys.readouterr().out.splitlines()
  (protobuf,) = [line for line in lines if line.startswith('protobuf')]
  assert protobuf.split() == ['protobuf', '99.0', 'wanted:', '<3.20,>=3.19.6']
  (jax,) = [line for line in lines if line.startswith('jax ')]
  assert jax.split()[1:] == ['99.0', 'wanted:', '==0.6.2,>=0.6']
