"""Launchpad's nodes, run under supervision.

Their classes are ours, so that the first name in the pickle that Launchpad sends to a
child process is one of this package: unpickling it loads `_acme_compat` before Acme.
"""

from collections.abc import Callable, Sequence
from typing import Any

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

# isort: split
import launchpad as lp
import reverb
from launchpad import address as lp_address
from launchpad import context as lp_context

from iq_acme.distributed import supervision

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
    _run(self, self._name, super().run)


class ReplayNode(lp.ReverbNode):
  """A Reverb server."""

  def __init__(
    self,
    name: str,
    make_tables: Callable[[], Sequence[reverb.Table]],
    make_checkpointer: Callable[[], Any] | None = None,
  ):
    """Describes the node.

    Args:
      name: what it is called in messages.
      make_tables: makes the tables, in the node's own process.
      make_checkpointer: makes what the server saves and loads by; None where nothing
        of it is saved.
    """
    super().__init__(make_tables, make_checkpointer)
    self._name = name

  def run(self) -> None:
    _run(self, self._name, self._serve)

  def _serve(self) -> None:
    # `lp.ReverbNode.run` waits for the stop by a variable of the thread it is called in.
    port = lp_address.get_port_from_address(self.reverb_address.resolve())
    checkpointer = self._checkpoint_ctor() if self._checkpoint_ctor else None
    self._server = reverb.Server(self._priority_tables_fn(), port, checkpointer)
    self._server.wait()


def _run(node: Any, name: str, body: Callable[[], None]) -> None:
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
  """TensorFlow only carries data here, and would take all of a GPU's memory."""
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')
