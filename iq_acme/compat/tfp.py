"""Keeps TensorFlow Probability and the old TensorFlow of this workspace apart.

distrax and rlax import TensorFlow Probability (TFP) for its JAX half, which needs
no TensorFlow, and yet meets it twice:

- TFP's top package loads its TensorFlow half at once if TensorFlow is already in
  the process, and that half refuses TensorFlow 2.8. A user's `import reverb` before
  ours, or a Launchpad child process, is enough. TFP looks for TensorFlow only while
  its top package is imported, which takes a few milliseconds and loads nothing else.
  So it is imported here, early and with TensorFlow out of sight; whatever is imported
  afterwards finds it done.
- A few modules of the JAX half load TensorFlow wherever it is installed, seconds and
  hundreds of megabytes, for nothing but docstrings, and do without if it is not.
  They are told that it is not. Only their own import statements are: TensorFlow can be
  imported by whoever wants it, also meanwhile. If tf_keras is installed, without
  which TFP's TensorFlow half does not work, they are left as they are for its sake.

The first can go once Launchpad's TensorFlow is one that TFP accepts, which is when
`python -c 'import reverb, distrax'` works without this package; the second once
`python -c 'import distrax, sys; assert "tensorflow" not in sys.modules'` does.
"""

import builtins
import contextlib
import importlib
import importlib.machinery
import sys
import types
from importlib import util
from typing import Any

# What they take from TensorFlow are docstrings, and a signature reader that falls back
# on Python's own.
_BACKENDS = 'tensorflow_probability.python.internal.backend'
_DO_WITHOUT_TENSORFLOW = frozenset(
  f'{_BACKENDS}.{backend}.{name}'
  for backend in ('jax', 'numpy')  # The JAX half uses the numpy one for constants.
  for name in ('_utils', 'tf_inspect')
)


def import_beside_tensorflow() -> None:
  """Imports TFP's top package whatever TensorFlow is loaded; cheap and idempotent.

  If TFP cannot be imported at all nothing happens: whoever needs it will say so.
  """
  if 'tensorflow_probability' in sys.modules:
    return
  tensorflow = sys.modules.get('tensorflow')
  try:
    importlib.import_module('tensorflow_probability')
  except ImportError:
    if tensorflow is not None:
      _import_without(tensorflow)


def _import_without(tensorflow: types.ModuleType) -> None:
  """Imports TFP while `sys.modules` does not show TensorFlow."""
  del sys.modules['tensorflow']
  try:
    with contextlib.suppress(ImportError):
      importlib.import_module('tensorflow_probability')
  finally:
    sys.modules['tensorflow'] = tensorflow


def does_without_tensorflow(fullname: str) -> bool:
  """Tells whether a module loads TensorFlow for docstrings alone."""
  return fullname in _DO_WITHOUT_TENSORFLOW and not util.find_spec('tf_keras')


class Loader(importlib.machinery.SourceFileLoader):
  """Runs a module whose import statements find no TensorFlow."""

  def exec_module(self, module: types.ModuleType) -> None:
    module.__builtins__ = {**vars(builtins), '__import__': _import_no_tensorflow}
    super().exec_module(module)


def _import_no_tensorflow(name: str, *arguments: Any, **keywords: Any) -> Any:
  """Imports for the statements of a module that does without TensorFlow."""
  if name.partition('.')[0] == 'tensorflow':
    raise ModuleNotFoundError(f'{name} is kept from this module.', name=name)
  return builtins.__import__(name, *arguments, **keywords)
