"""Makes dm-acme 0.4.0 load and run on today's JAX. Import it before Acme.

dm-acme 0.4.0 was written for JAX 0.2; the oldest JAX that can still be installed
beside it on Python 3.10 has dropped a few names that it uses. Importing this module
puts them back, each only where it is missing, and makes TensorFlow, gym and JAX
quieter. It imports neither Acme nor TensorFlow, so it can come first in any process.

Each patch names what in Acme needs it. A patch can go when nothing in the installed
Acme mentions its name any more; `tests/compat_test.py` says so when that happens.

Set `IQ_ACME_VERBOSE=1` to see every notice that is silenced here.
"""

import dataclasses
import importlib
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from iq_acme import _tfp_compat


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
  _tfp_compat.apply()
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

  Environment variables that are already set win, and `IQ_ACME_VERBOSE=1` turns all
  of this off. TensorFlow reads its variable when it is loaded, so this comes first.
  """
  if os.environ.get('IQ_ACME_VERBOSE', '0') not in ('', '0'):
    return
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  _drop_gym_notice()
  # acme.agents.jax.actors jits its policy with `backend=`; nothing replaces it there.
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


quiet()
apply()
