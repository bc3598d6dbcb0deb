"""Writes the transitions of an episode to Reverb, each as one packed row."""

from typing import Any, Protocol

import dm_env
import numpy as np
import reverb
from acme import adders

from iq_acme.transitions import NStepTransitions, TransitionPacking


class Writer(Protocol):
  """Takes an adder's rows to replay."""

  def write(self, row: np.ndarray) -> None:
    """Sends a row [width], or keeps it until a group is full."""

  def flush(self) -> None:
    """Waits until all that was written has arrived."""


class PackedTransitionAdder(adders.Adder):
  """Writes each n-step transition as one row of a `TransitionPacking`."""

  def __init__(
    self, packing: TransitionPacking, writer: Writer, n_step: int, discount: float
  ):
    """Creates an adder.

    Args:
      packing: the layout of a row.
      writer: takes each row.
      n_step: environment steps per transition.
      discount: the agent's discount, within a transition of several steps.
    """
    self._packing = packing
    self._writer = writer
    self._transitions = NStepTransitions(n_step, discount)

  def reset(self) -> None:
    self._transitions.reset()

  def flush(self) -> None:
    """Waits until all that was added is in replay; the last few rows travel behind."""
    self._writer.flush()

  def add_first(self, timestep: dm_env.TimeStep) -> None:
    self._transitions.add_first(timestep)

  def add(self, action: Any, next_timestep: dm_env.TimeStep, extras: Any = ()) -> None:
    del extras  # IQ's transitions have none.
    for transition in self._transitions.add(action, next_timestep):
      self._writer.write(self._packing.pack(transition))


class RowWriter:
  """Writes rows to a Reverb table, one item per group of rows."""

  def __init__(self, client: reverb.Client, table: str, group_size: int | None = None):
    """Opens a writer.

    Args:
      client: a client of the server that holds the table.
      table: its name. Its signature is one array, [width] if `group_size` is None and
        [rows, width] otherwise.
      group_size: rows per item; None for items of one row. A larger group costs less
        per row, and reaches replay later.
    """
    self._client = client
    self._table = table
    self._grouped = group_size is not None
    self._group_size = group_size or 1
    self._rows: list[np.ndarray] = []
    self._writer: reverb.TrajectoryWriter | None = None
    self.num_items_written = self.num_rows_sent = 0

  @property
  def num_rows_held(self) -> int:
    """Rows since the last group was sent."""
    return len(self._rows)

  def write(self, row: np.ndarray) -> None:
    """Adds a row, and sends the group once it is full."""
    self._rows.append(row)
    if len(self._rows) == self._group_size:
      self._send()

  def flush(self) -> None:
    """Sends what there is of a group, and waits until everything has arrived."""
    if self._rows:
      # A writer keeps to one shape. Closing it sends the earlier groups first.
      self._close()
      self._send()
    self._close()

  def _send(self) -> None:
    if self._writer is None:
      self._writer = self._client.trajectory_writer(num_keep_alive_refs=1)
    data = np.stack(self._rows) if self._grouped else self._rows[0]
    self.num_rows_sent += len(self._rows)
    self._rows = []
    self._writer.append([data])
    self._writer.create_item(
      table=self._table, priority=1.0, trajectory=[self._writer.history[0][-1]]
    )
    self.num_items_written += 1
    # Bounds what is in flight, so that a blocked table blocks the actor in turn.
    self._writer.flush(block_until_num_items=8)

  def _close(self) -> None:
    if self._writer is not None:
      self._writer.flush()
      self._writer.close()
      self._writer = None
