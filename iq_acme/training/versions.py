"""What a run was started on: packages, Python, machine, commit and command."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Those that decide whether the rest fits together, and what a run computes.
PACKAGES = [
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


def collect_versions() -> dict[str, Any]:
  """Returns what this process runs on, ready for JSON; imports no package."""
  return {
    'started': datetime.datetime.now(datetime.timezone.utc).isoformat('T', 'seconds'),
    'command': command_line(),
    'commit': _commit(),
    'python': platform.python_version(),
    'platform': platform.platform(),
    'cpu_count': os.cpu_count(),
    'cpus_usable': len(os.sched_getaffinity(0)),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'packages': {name: package_version(name) for name in PACKAGES},
  }


def command_line() -> str:
  """Returns the command that started this process, ready to be pasted."""
  module = getattr(sys.modules['__main__'], '__spec__', None)
  if module is not None:
    start = ['python', '-m', module.name.removesuffix('.__main__')]
  elif os.path.basename(sys.argv[0]) == 'iq-acme':
    start = ['iq-acme']
  else:
    start = ['python', sys.argv[0]]
  return shlex.join([*start, *sys.argv[1:]])


def package_version(package: str) -> str | None:
  """Returns the version of a package that is installed, None if it is not."""
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _commit() -> str | None:
  """Returns the checkout's commit, marked if files differ from it.

  None for an installed package, which may lie in somebody else's checkout.
  """
  if not (_ROOT / 'iq_acme' / 'losses.py').exists() or not (_ROOT / '.git').exists():
    return None
  try:
    return subprocess.run(
      ['git', 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*'],
      cwd=_ROOT,
      capture_output=True,
      text=True,
      check=True,
      timeout=10,
    ).stdout.strip()
  except (OSError, subprocess.SubprocessError):
    return None
