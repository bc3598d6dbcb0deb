"""Says what is installed, and whether it loads: `python -m iq_acme doctor`.

It prints the versions that matter beside those that are wanted, then tries the core
and the extras that are installed, each check in a process of its own, so that one which
crashes takes nothing else with it. It needs nothing but Python. The exit status is 0 if
all of that works, else 1.
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
from typing import Any

from iq_acme.compat import loopback
from iq_acme.training.versions import PACKAGES, package_version

_PATIENCE = 300.0  # Seconds that one check may take; cold disks are slow.

# The package that tells whether an extra is installed.
_EXTRAS = {
  'acme': 'dm-acme',
  'dm_control': 'dm-control',
  'minari': 'minari',
  'robotics': 'gymnasium-robotics',
}
_CORE_ONLY = (
  'The agent for Acme needs the extra [acme], on Python 3.10, for which Launchpad is '
  'built: `make install` in a clone looks for python3.10, pyenv and uv.'
)
_REMEDY = (
  'The first failure is the one to look at: compare the versions above with those that '
  'are wanted. In a clone `make install` installs those of requirements.lock.'
)


@dataclasses.dataclass(frozen=True)
class Check:
  """One thing to try.

  Attributes:
    name: what is tried, in a few words.
    code: Python that fails if it does not work, run in a fresh process.
    environment: variables set for that process.
    required: whether it has to work; otherwise the outcome is information.
    extra: the extra that it belongs to, None for the core.
  """

  name: str
  code: str
  environment: tuple[tuple[str, str], ...] = ()
  required: bool = True
  extra: str | None = None


# In the order of dependence, so that the first failure is the one to look at.
CHECKS: tuple[Check, ...] = (
  Check(
    'JAX computes',
    'import jax; jax.numpy.ones(2).sum().block_until_ready();'
    'print(*(d.device_kind for d in jax.devices()))',
  ),
  Check('JAX libraries', 'import haiku, optax, distrax, rlax, chex'),
  Check('the core of iq_acme', 'import iq_acme.update, iq_acme.policy_io'),
  Check('TensorFlow', 'import tensorflow as tf; print(tf.__version__)', extra='acme'),
  Check('Reverb', 'import iq_acme, reverb', extra='acme'),
  Check('Courier', 'import iq_acme, courier', extra='acme'),
  Check('Launchpad', 'import iq_acme, launchpad', extra='acme'),
  Check(
    'Launchpad in a child process',  # Which finds libpython by what the parent set.
    'import iq_acme.compat.acme_names, subprocess, sys;'
    'sys.exit(subprocess.call([sys.executable, "-c", "import courier, launchpad"]))',
    extra='acme',
  ),
  Check(
    'JAX libraries beside Reverb', 'import reverb, iq_acme, distrax, rlax', extra='acme'
  ),
  Check(
    'Acme',
    'import iq_acme; import acme.agents.jax.builders;'
    'import acme.jax.layouts.distributed_layout, acme.jax.savers, acme.testing.fakes',
    extra='acme',
  ),
  Check(
    'a Reverb server answers',
    'import iq_acme, reverb;'
    'table = reverb.Table("t", reverb.selectors.Fifo(), reverb.selectors.Fifo(), 1,'
    ' reverb.rate_limiters.MinSize(1));'
    'server = reverb.Server([table], port=None); client = server.localhost_client();'
    'client.insert([0], {"t": 1.0}); list(client.sample("t", num_samples=1))',
    extra='acme',
  ),
  Check('the agent', 'from iq_acme import IQBuilder, make_iq_agent', extra='acme'),
  Check(
    'Gymnasium tasks',
    'import gymnasium; gymnasium.make("HalfCheetah-v4").reset(seed=0)',
  ),
  Check('Adroit tasks', 'import gymnasium_robotics', extra='robotics'),
  Check(
    'dm_control tasks',
    'from dm_control import suite; suite.load("cheetah", "run").reset()',
    environment=(('MUJOCO_GL', 'disable'),),
    extra='dm_control',
  ),
  Check('Minari datasets', 'import minari, h5py', extra='minari'),
  Check('plots', 'import matplotlib; matplotlib.use("Agg"); import matplotlib.pyplot'),
  *(
    Check(
      f'video with MUJOCO_GL={backend}',
      'import mujoco; context = mujoco.GLContext(64, 64); context.make_current()',
      environment=(('MUJOCO_GL', backend),),
      required=False,
    )
    for backend in ('egl', 'osmesa', 'glfw')
  ),
)


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command, which takes no arguments; returns the exit status."""
  if argv:
    print((__doc__ or '').strip())
    return 0 if set(argv) <= {'--help', '-h'} else 2
  return main(CHECKS)


def main(checks: Sequence[Check]) -> int:
  """Prints versions and the outcome of every check.

  Args:
    checks: what to try, in the order of printing.

  Returns:
    The exit status: 0 if everything required works, 1 otherwise.
  """
  print('\n'.join(_version_lines()), end='\n\n')
  absent = {extra for extra, name in _EXTRAS.items() if package_version(name) is None}
  tried = [check for check in checks if check.extra not in absent]
  all_work = True
  with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
    for check, (ok, detail) in zip(tried, pool.map(run_check, tried)):
      word = 'ok' if ok else 'FAILED' if check.required else 'no'
      print(f'{word:8}{check.name:34}{detail * check.required}'.rstrip(), flush=True)
      all_work &= ok or not check.required
  for extra in sorted(absent):
    print(f'{"absent":8}[{extra}]')
  print('', 'Everything that is installed works.' if all_work else _REMEDY, sep='\n')
  if 'acme' in absent:
    print(_CORE_ONLY)
  return 0 if all_work else 1


def run_check(check: Check, patience: float = _PATIENCE) -> tuple[bool, str]:
  """Runs one check in a process of its own.

  Args:
    check: what to run.
    patience: seconds after which it counts as failed.

  Returns:
    Whether it worked (a crash or a hang is a failure like any other), and in one line
    what it printed last or what it failed with.
  """
  try:
    done = subprocess.run(
      [sys.executable, '-c', check.code],
      env={
        **os.environ,
        'TF_CPP_MIN_LOG_LEVEL': '2',
        loopback.VARIABLE: 'local',
        **dict(check.environment),
      },
      capture_output=True,
      text=True,
      errors='replace',
      timeout=patience,
      check=False,
    )
  except subprocess.TimeoutExpired:
    return False, f'no answer within {patience:g} s'
  if done.returncode < 0:
    return False, f'crashed with {signal.Signals(-done.returncode).name}'
  if done.returncode:
    return False, _error_line(done.stderr)
  return True, (done.stdout.splitlines() or [''])[-1]


def _error_line(log: str) -> str:
  """Returns the line of a traceback that names the error; a message may have more."""
  lines = [line.rstrip() for line in log.splitlines() if line.strip()]
  errors = [line for line in lines if re.match(r'[\w.]*(Error|Exception)\b', line)]
  return (errors or lines or ['no message'])[-1]


def _version_lines() -> Iterator[str]:
  """Yields a line for Python and for each package: what is installed, what wanted."""
  yield f'{"python":24}{platform.python_version():12}{platform.platform()}'
  wanted = _wanted()
  for name in PACKAGES:
    version = package_version(name) or 'missing'
    fits = name not in wanted or version in wanted[name]
    remark = '' if fits else f'wanted: {wanted[name]}'
    yield f'{name:24}{version:12}{remark}'.rstrip()


def _wanted() -> dict[str, Any]:
  """Reads which versions setup.py asks for, by package, of core and Acme if it is there.

  Empty if iq_acme is not installed, or nothing is there to read it by.
  """
  try:
    lines = importlib.metadata.requires('iq_acme') or []
    from packaging import requirements, specifiers
  except ImportError:  # PackageNotFoundError is one.
    return {}
  extras = ['', *(['acme'] if package_version(_EXTRAS['acme']) else [])]
  wanted: dict[str, Any] = {}
  for one in map(requirements.Requirement, lines):
    if one.marker is None or any(one.marker.evaluate({'extra': e}) for e in extras):
      wanted[one.name] = wanted.get(one.name, specifiers.SpecifierSet()) & one.specifier
  return wanted
