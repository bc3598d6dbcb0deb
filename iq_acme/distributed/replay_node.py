"""The node of the replay server; alone in its file, for Reverb is slow to load."""

from collections.abc import Callable, Sequence
from typing import Any

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

# isort: split
import launchpad as lp
import reverb
from launchpad import address as lp_address

from iq_acme.distributed.nodes import run_supervised


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
    run_supervised(self, self._name, self._serve)

  def _serve(self) -> None:
    # `lp.ReverbNode.run` waits for the stop by a variable of the thread it is called in.
    port = lp_address.get_port_from_address(self.reverb_address.resolve())
    checkpointer = self._checkpoint_ctor() if self._checkpoint_ctor else None
    self._server = reverb.Server(self._priority_tables_fn(), port, checkpointer)
    self._server.wait()
