"""Makes dm-acme 0.4.0 load and run on today's JAX. `imports` loads it before Acme.

dm-acme 0.4.0 was written for JAX 0.2; the oldest JAX that can still be installed
beside it on Python 3.10 has dropped a few names that it uses. Importing this module
puts them back, each only where it is missing, and makes TensorFlow, gym and JAX
quieter. It imports neither Acme nor TensorFlow, so it can come before both.

Each patch names what in Acme needs it. A patch can go when nothing in the installed
Acme mentions its name any more; `tests/compat/patches_test.py` says so when that happens.

It also loads libpython for Reverb and Launchpad where the running Python was built
without it (see `load_libpython`).

Set `IQ_ACME_VERBOSE=1` to see every notice that is silenced here.
"""

import ctypes
import dataclasses
import importlib
import os
import pathlib
import sys
import sysconfig
import types
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Patch:
  """One name that JAX has dropped and Acme still uses.

  Attributes:
    name: the dotted name as Acme writes it, `jnp.` standing for `jax.numpy.`.
    make: returns the object to put there.
    why: what in dm-acme 0.4.0 uses it.
  """

  name: str
  make: Callable[[], Any]
  why: str


PATCHES: tuple[Patch, ...] = (
  Patch(
    'jax.tree_map',
    lambda: jax.tree_util.tree_map,
    'acme.jax.utils, running_statistics, actor_core and every learner',
  ),
  Patch(
    'jax.tree_multimap',
    lambda: jax.tree_util.tree_map,
    'target networks of SAC and TD3; tree_map takes several trees since JAX 0.3',
  ),
  Patch(
    'jax.tree_flatten',
    lambda: jax.tree_util.tree_flatten,
    'acme.jax.running_statistics',
  ),
  Patch(
    'jax.xla',
    lambda: types.SimpleNamespace(Device=jax.Device, DeviceArray=jax.Array),
    'annotations in acme.jax.variable_utils and utils; utils.fetch_devicearray',
  ),
  Patch(
    'jax.pxla',
    lambda: types.SimpleNamespace(ShardedDeviceArray=jax.Array),
    'acme.jax.utils.get_from_first_device; a sharded array is a jax.Array now',
  ),
  Patch(
    'jnp.DeviceArray',
    lambda: jax.Array,
    'annotations in acme.jax.utils and the losses',
  ),
)


def apply() -> tuple[str, ...]:
  """Applies every patch whose name is missing; idempotent.

  Returns:
    The names patched by this call.
  """
  # acme.jax.networks reads `tensorflow_probability.substrates` without importing it,
  # which worked while TFP's top package did so; the package itself is all lazy.
  importlib.import_module('tensorflow_probability.substrates')
  applied = []
  for patch in PATCHES:
    module_name, _, attribute = patch.name.rpartition('.')
    module = {'jax': jax, 'jnp': jnp}[module_name]
    if not hasattr(module, attribute):
      setattr(module, attribute, patch.make())
      applied.append(patch.name)
  return tuple(applied)


def quiet() -> None:
  """Keeps notices that a user can do nothing about off the terminal.

  Environment variables that are already set win, so do Python's own `-W` options, and
  `IQ_ACME_VERBOSE=1` turns all of this off. TensorFlow reads its variable when it is loaded, so this comes first.
  """
  if os.environ.get('IQ_ACME_VERBOSE', '0') not in ('', '0'):
    return
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  _drop_gym_notice()
  if not sys.warnoptions:
    # acme.agents.jax.actors jits its policies with `backend=`.
    warnings.filterwarnings(
      'ignore', message='backend and device argument on jit is deprecated'
    )


def _drop_gym_notice() -> None:
  """Removes the 'unmaintained' notice that gym prints when Acme imports it."""
  if 'gym' in sys.modules:
    return
  try:
    from gym_notices import notices
  except ImportError:
    return
  notices.notices.clear()


def load_libpython() -> pathlib.Path | None:
  """Loads libpython where the running Python is built without the shared library.

  Reverb's and Launchpad's extensions name `libpython3.10.so.1.0` as a library they
  need. Some builds of Python (uv's, conda's) link it statically and keep the file
  where the dynamic loader does not look. Once it is loaded, the extensions find it by
  its name; their Python symbols still resolve to the running interpreter. Processes
  started from this one find it through `LD_LIBRARY_PATH`.

  Returns:
    The file that had to be loaded, or None where the loader needed no help or no such
    file was found (`python -m iq_acme doctor` then says what to do).
  """
  name = f'libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0'
  if _can_load(name, os.RTLD_NOLOAD):
    return None
  for folder in _library_folders():
    path = folder / name
    if path.exists() and _can_load(str(path), ctypes.DEFAULT_MODE):
      inherited = os.environ.get('LD_LIBRARY_PATH', '').split(os.pathsep)
      search = dict.fromkeys([str(folder), *filter(None, inherited)])
      os.environ['LD_LIBRARY_PATH'] = os.pathsep.join(search)
      return path
  return None


def _can_load(library: str, mode: int) -> bool:
  """Loads a shared library, or with RTLD_NOLOAD only asks whether it is loaded."""
  try:
    ctypes.CDLL(library, mode=mode)
  except OSError:
    return False
  return True


def _library_folders() -> list[pathlib.Path]:
  """Where a Python installation may keep its shared library."""
  executable = pathlib.Path(sys.executable).resolve()
  configured = sysconfig.get_config_var('LIBDIR')
  folders = [pathlib.Path(sys.base_prefix) / 'lib', executable.parent.parent / 'lib']
  return [*folders, pathlib.Path(configured)] if configured else folders


quiet()
load_libpython()
apply()
