"""Launchpad's nodes, run under supervision."""

import sys
from collections.abc import Callable
from typing import Any

import launchpad as lp
from launchpad import context as lp_context

from iq_acme.supervisor import supervision

_IN_THREADS = (
  lp_context.LaunchType.LOCAL_MULTI_THREADING,
  lp_context.LaunchType.TEST_MULTI_THREADING,
)


class WorkerNode(lp.CourierNode):
  """Serves an object's public methods by Courier while its `run` goes on."""

  def __init__(self, name: str, constructor: Callable[..., Any], *args: Any, **kwargs: Any):  # fmt: skip
    """Describes the node.

    Args:
      name: what it is called in messages, such as 'actor/0'.
      constructor: makes the object, in the node's own process.
      *args: its arguments; handles among them arrive as clients.
      **kwargs: its keyword arguments, likewise.
    """
    super().__init__(constructor, *args, **kwargs)
    self._name = name

  def run(self) -> None:
    run_supervised(self, self._name, super().run)


def run_supervised(node: Any, name: str, body: Callable[[], None]) -> None:
  """Runs a node of Launchpad's, see `supervision.run_node`.

  Args:
    node: the node, once it is launched.
    name: what it is called in messages.
    body: what it does.
  """
  launch_context = node.launch_context

  def in_thread() -> None:
    lp_context.set_context(launch_context)  # For `lp.stop`, which reads it by thread.
    _keep_tensorflow_off_accelerators()
    body()

  supervision.run_node(
    name,
    in_thread,
    lp.stop_event(),
    own_process=launch_context.launch_type not in _IN_THREADS,
  )


def _keep_tensorflow_off_accelerators() -> None:
  """Hides accelerators from TensorFlow, which would take all of a GPU's memory.

  Where it is not loaded yet, nothing of the node's has a use for it but logging.
  """
  if 'tensorflow' in sys.modules:
    sys.modules['tensorflow'].config.set_visible_devices([], 'GPU')
