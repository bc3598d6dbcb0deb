"""Lets Launchpad's child processes import this package before anything of Acme.

A child process unpickles its node before it runs anything of a user's, and whatever the
pickle refers to is imported there and then: in Acme's own layouts that is Acme, which
does not load on today's JAX unless it is mended (see `imports`). So the first name in
each pickle that Launchpad writes is one of this module.
"""

import types
from collections.abc import Callable
from typing import IO, Any

# Those of Launchpad 0.5.0 that pickle nodes, each by `cloudpickle.dump`.
MODULES = frozenset(
  {
    'launchpad.launch.serialization',
    'launchpad.nodes.multi_processing_colocation.node',
  }
)


def wrap(module: types.ModuleType) -> None:
  """Lets a module's pickles import this package first; idempotent.

  Args:
    module: one of `MODULES`. Only its own `cloudpickle` is replaced.
  """
  if not isinstance(module.cloudpickle, _Cloudpickle):
    module.cloudpickle = _Cloudpickle(module.cloudpickle)


class _Cloudpickle:
  """Stands in for cloudpickle, and writes pickles that import this package first."""

  def __init__(self, cloudpickle: types.ModuleType):
    self._cloudpickle = cloudpickle

  def __getattr__(self, name: str) -> Any:
    return getattr(self._cloudpickle, name)

  def dump(self, value: Any, file: IO[bytes], *args: Any, **kwargs: Any) -> None:
    self._cloudpickle.dump(_AfterThisPackage(value), file, *args, **kwargs)


class _AfterThisPackage:
  """A value that is unpickled once this package is imported, as itself."""

  def __init__(self, value: Any):
    self._value = value

  def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
    # The function is written, and so imported, before its argument.
    return _itself, (self._value,)


def _itself(value: Any) -> Any:
  return value
