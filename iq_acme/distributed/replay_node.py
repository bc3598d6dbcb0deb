"""The replay server of a program, and the folder it writes its checkpoints to.

A Reverb server writes to, and reads from, folders that it is told of when it starts. It
writes into a scratch folder below the run's, which carries the server's port in its
name, and from which the learner moves each checkpoint to its place.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import launchpad as lp
import reverb
from launchpad import address as lp_address
from reverb.platform import checkpointers_lib

from iq_acme.distributed.nodes import run_supervised
from iq_acme.replay.table import is_server_checkpoint
from iq_acme.storage.checkpoints import CheckpointInfo, CheckpointStore

_SCRATCH_PREFIX = '.program_replay_'


class ReplayNode(lp.ReverbNode):
  """A Reverb server."""

  def __init__(
    self,
    name: str,
    make_tables: Callable[[], Sequence[reverb.Table]],
    make_checkpointer: Callable[[int], Any] | None = None,
  ):
    """Describes the node.

    Args:
      name: what it is called in messages.
      make_tables: makes the tables, in the node's own process.
      make_checkpointer: makes what the server saves and loads by, from its port; None
        if nothing of it is saved.
    """
    super().__init__(make_tables, make_checkpointer)
    self._name = name

  def run(self) -> None:
    run_supervised(self, self._name, self._serve)

  def _serve(self) -> None:
    # `lp.ReverbNode.run` waits for the stop by a variable of the thread it is called in.
    port = lp_address.get_port_from_address(self.reverb_address.resolve())
    checkpointer = self._checkpoint_ctor(port) if self._checkpoint_ctor else None
    self._server = reverb.Server(self._priority_tables_fn(), port, checkpointer)
    self._server.wait()


def make_checkpointer(workdir: str, port: int) -> checkpointers_lib.CheckpointerBase:
  """Makes what a replay server saves by, and loads the newest checkpoint of a run by.

  Args:
    workdir: the run's folder.
    port: the server's.

  Returns:
    The checkpointer.
  """
  scratch = os.path.join(workdir, f'{_SCRATCH_PREFIX}{port}')
  shutil.rmtree(scratch, ignore_errors=True)  # Of an earlier server of that port.
  os.makedirs(scratch)
  store = CheckpointStore(os.path.join(workdir, 'checkpoints'))
  saved = _server_checkpoint(store.latest())
  if saved:  # Read whole, for it is to be of the checkpoint that the learner restores.
    saved = _server_checkpoint(store.latest_intact())
  return checkpointers_lib.DefaultCheckpointer(scratch, fallback_checkpoint_path=saved)


def _server_checkpoint(checkpoint: CheckpointInfo | None) -> str | None:
  """Returns what a server wrote into a checkpoint, None if it holds nothing of one."""
  path = os.path.join(checkpoint.path, 'replay') if checkpoint else ''
  return path if is_server_checkpoint(path) else None


def remove_scratch(workdir: str, keep_port: int | None = None) -> None:
  """Removes what servers that have ended wrote to.

  Args:
    workdir: the run's folder, which no other program may be using.
    keep_port: the port of the server that is still in use.
  """
  for name in os.listdir(workdir):
    if name.startswith(_SCRATCH_PREFIX) and name != f'{_SCRATCH_PREFIX}{keep_port}':
      shutil.rmtree(os.path.join(workdir, name), ignore_errors=True)
