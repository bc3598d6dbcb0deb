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

import importlib
import sys


def apply() -> None:
  """Imports TFP's top package whatever TensorFlow is loaded; cheap and idempotent.

  Where TFP is not installed nothing happens: whoever needs it will say so. A
  thread that imports TensorFlow for the first time during this call could load it
  twice, so call this from the main thread, before others start.
  """
  if 'tensorflow_probability' in sys.modules:
    return
  try:
    importlib.import_module('tensorflow_probability')
  except ModuleNotFoundError as error:
    if error.name != 'tensorflow_probability':
      raise
  except ImportError:
    if 'tensorflow' not in sys.modules:
      raise
    _import_without_tensorflow()


def _import_without_tensorflow() -> None:
  """Imports TFP while `sys.modules` does not show TensorFlow."""
  tensorflow = sys.modules.pop('tensorflow')
  try:
    importlib.import_module('tensorflow_probability')
  finally:
    sys.modules['tensorflow'] = tensorflow
