"""Mends old libraries as they are first imported; `import iq_acme` sees to it.

One finder on `sys.meta_path` hears of every first import:

- of acme, reverb, launchpad or courier: `acme_names` comes first. It loads JAX, which is
  why `import iq_acme` does not load it itself.
- of the few modules that are run in another way than they are written, see `tfp`, or
  changed once they have run, see `launchpad_pickles` and `loopback`. All others are left
  to the finders of Python.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence

from iq_acme.compat import launchpad_pickles, loopback, tfp

_NEED_ACME_NAMES = frozenset({'acme', 'courier', 'launchpad', 'reverb'})
_ACME_HALF = _NEED_ACME_NAMES | {'tensorflow'}
# What changes a module once it has run.
_WRAP = {
  name: room.wrap for room in (launchpad_pickles, loopback) for name in room.MODULES
}


def install() -> None:
  """Installs the finder, and mends what is loaded already; cheap and idempotent.

  A thread that uses TensorFlow's import during this call could load it twice, so
  call this from the main thread, before others start.
  """
  if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder())
  tfp.import_beside_tensorflow()
  for name in _WRAP.keys() & sys.modules.keys():
    _WRAP[name](sys.modules[name])


def advice(error: ModuleNotFoundError) -> str | None:
  """Returns what to tell whoever used the Acme half without Acme; else None."""
  missing = (error.name or '').partition('.')[0]
  if missing not in _ACME_HALF:
    return None
  return (
    f'This needs Acme, Reverb and Launchpad, and {missing} is not there: pip install '
    "'.[acme]' in a clone, with Python 3.10 on Linux x86-64. Populations, networks, "
    'updates, policies in files, evaluation, plots and theory do without.'
  )


class _Finder(importlib.abc.MetaPathFinder):
  """Finds the modules that are run in another way, and leaves all others to others."""

  def find_spec(
    self,
    fullname: str,
    path: Sequence[str] | None,
    target: types.ModuleType | None = None,
  ) -> importlib.machinery.ModuleSpec | None:
    if fullname.partition('.')[0] in _NEED_ACME_NAMES:
      # Python's own lock on a module lets other threads wait until it is through.
      importlib.import_module('iq_acme.compat.acme_names')
    loader = _loader(fullname)
    if loader is None:
      return None
    spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
    if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
      spec.loader = loader(fullname, spec.loader.path)
    return spec


def _loader(fullname: str) -> type[importlib.machinery.SourceFileLoader] | None:
  """Returns the loader of a module that is run in another way; None for all others."""
  if tfp.does_without_tensorflow(fullname):
    return tfp.Loader
  return _WrappingLoader if fullname in _WRAP else None


class _WrappingLoader(importlib.machinery.SourceFileLoader):
  """Runs a module, and then wraps what is in it."""

  def exec_module(self, module: types.ModuleType) -> None:
    super().exec_module(module)
    _WRAP[module.__name__](module)
