"""Says whether this installation works, and what to do where it does not.

`python -m iq_acme doctor` prints the versions that matter, then tries every import
that training needs, each in a process of its own, so that one which crashes takes
nothing else with it. The exit status is 0 where all of them work and 1 otherwise.
"""

import concurrent.futures
import dataclasses
import importlib.metadata
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from iq_acme.compat.doctor_checks import ADVICE, CHECKS, REINSTALL, Check

_PATIENCE = 300.0  # Seconds that one import may take; cold disks are slow.

# Those that decide whether the rest fits together.
_VERSIONS = [
  'iq_acme',
  'dm-acme',
  'dm-launchpad',
  'dm-reverb',
  'tensorflow-cpu',
  'protobuf',
  'jax',
  'jaxlib',
  'dm-haiku',
  'optax',
  'rlax',
  'distrax',
  'chex',
  'tensorflow-probability',
  'numpy',
  'dm-env',
  'gymnasium',
  'gymnasium-robotics',
  'mujoco',
  'dm-control',
  'gym',
  'setuptools',
  'matplotlib',
]

_PYTHON = (
  'Python 3.10 is needed: Launchpad is built for no newer one. `make clean install` '
  'looks for python3.10, pyenv and uv.'
)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What came of a check.

  Attributes:
    check: the check that was run.
    ok: whether it worked.
    detail: what the code printed last, or what it failed with, in one line.
    log: all that a failed check wrote to standard error.
  """

  check: Check
  ok: bool
  detail: str
  log: str = ''


def run_check(check: Check, patience: float = _PATIENCE) -> Outcome:
  """Runs one check in a process of its own.

  Args:
    check: what to run.
    patience: seconds after which it counts as failed.

  Returns:
    Its outcome; a crash or a hang of the process is a failure like any other.
  """
  try:
    done = subprocess.run(
      [sys.executable, '-c', check.code],
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2', **dict(check.environment)},
      capture_output=True,
      text=True,
      errors='replace',
      timeout=patience,
      check=False,
    )
  except subprocess.TimeoutExpired:
    return Outcome(check, ok=False, detail=f'no answer within {patience:g} s')
  if done.returncode < 0:
    name = signal.Signals(-done.returncode).name
    return Outcome(check, ok=False, detail=f'crashed with {name}', log=done.stderr)
  if done.returncode:
    detail = _error_line(done.stderr)
    return Outcome(check, ok=False, detail=detail, log=done.stderr)
  return Outcome(check, ok=True, detail=(done.stdout.splitlines() or [''])[-1])


def _error_line(log: str) -> str:
  """The line of a traceback that names the error, the innermost process's if many."""
  lines = [line.strip() for line in log.splitlines() if line.strip()]
  errors = [line for line in lines if re.match(r'[\w.]*(Error|Exception)\b', line)]
  causes = [line for line in errors if 'CalledProcessError' not in line]
  return (causes or errors or lines or ['no message'])[-1]


def advice(outcome: Outcome) -> str:
  """What to do about a failure.

  Args:
    outcome: a failed check.

  Returns:
    A few sentences.
  """
  for text in (outcome.detail, outcome.log):
    for pattern, sentences in ADVICE:
      if re.search(pattern, text):
        return sentences
  return f'Nothing is known about this one; {REINSTALL}, and report it if it stays.'


def main(checks: Sequence[Check] = CHECKS) -> int:
  """Prints versions and the outcome of every check.

  Args:
    checks: what to try, in the order of printing.

  Returns:
    The exit status: 0 where everything required works, 1 otherwise.
  """
  print('\n'.join(_version_lines()), end='\n\n')
  failures = []
  with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
    for outcome in pool.map(run_check, checks):
      print(_outcome_line(outcome), flush=True)
      if outcome.check.required and not outcome.ok:
        failures.append(outcome)
  problems = [f'{failure.check.name}: {advice(failure)}' for failure in failures]
  if sys.version_info[:2] != (3, 10):
    problems.insert(0, _PYTHON)
  print('', *(problems or ['Everything that training needs works.']), sep='\n')
  return 1 if problems else 0


def _version_lines() -> Iterator[str]:
  """Yields a line for Python and for each package: what is installed, what wanted."""
  yield f'{"python":24}{platform.python_version():12}{platform.platform()}'
  wanted = _wanted()
  for name in _VERSIONS:
    try:
      version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      version = 'missing'
    specifiers = wanted.get(name, '')
    remark = '' if _fits(version, specifiers) else f'wanted: {specifiers}'
    yield f'{name:24}{version:12}{remark}'.rstrip()


def _wanted() -> dict[str, str]:
  """What setup.py asks for, by package; empty where iq_acme is not installed."""
  try:
    lines = importlib.metadata.requires('iq_acme') or []
  except importlib.metadata.PackageNotFoundError:
    return {}
  parts = [re.match(r'([\w.-]+)(?:\[\w+\])?([^;]*)(.*)', line) for line in lines]
  return {p[1]: p[2].strip() for p in parts if p and 'extra' not in p[3]}


def _fits(version: str, specifiers: str) -> bool:
  """Whether a version is one that setup.py allows; true where that is not known."""
  if not specifiers:
    return True
  try:
    from packaging import specifiers as specifiers_lib
  except ImportError:
    return True
  return version != 'missing' and version in specifiers_lib.SpecifierSet(specifiers)


def _outcome_line(outcome: Outcome) -> str:
  """One line of the report."""
  word = 'ok' if outcome.ok else 'FAILED' if outcome.check.required else 'no'
  detail = outcome.detail if outcome.check.required else ''
  return f'{word:8}{outcome.check.name:34}{detail}'.rstrip()


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command, which takes no arguments; returns the exit status."""
  if argv:
    print((__doc__ or '').strip())
    return 0 if set(argv) <= {'--help', '-h'} else 2
  return main()
