"""Lets TensorFlow Probability load beside the old TensorFlow of this workspace.

distrax and rlax import TensorFlow Probability (TFP) for its JAX half, which needs
no TensorFlow. TFP's top package, however, loads its TensorFlow half at once where
TensorFlow is already in the process, and that half refuses TensorFlow 2.8. A
user's `import reverb` before ours, or a Launchpad child process, is enough.

TFP looks for TensorFlow only while its top package is imported, which takes a few
milliseconds and loads nothing else. So it is imported here, early and with
TensorFlow out of sight; whatever is imported afterwards finds it done.

This patch can go once Launchpad's TensorFlow is one that TFP accepts, which is when
`python -c 'import reverb, distrax'` works without this package.
"""

import contextlib
import importlib
import sys
import types


def apply() -> None:
  """Imports TFP's top package whatever TensorFlow is loaded; cheap and idempotent.

  Where TFP cannot be imported at all nothing happens: whoever needs it will say so.
  A thread that uses TensorFlow's import during this call could load it twice, so
  call this from the main thread, before others start.
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
