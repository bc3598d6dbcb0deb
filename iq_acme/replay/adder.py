"""Packs the n-step transitions of an episode into rows, as Acme's adder forms them."""

from collections import deque
from collections.abc import Callable
from typing import Any

import dm_env
import jax
import numpy as np
import reverb
from acme import adders

from iq_acme.replay.packing import TransitionPacking
from iq_acme.update import Transition


class PackedTransitionAdder(adders.Adder):
  """Writes each n-step transition as one row of a `TransitionPacking`.

  The transitions are those of Acme's `NStepTransitionAdder`: at the start of an
  episode (s_0 -> s_1), (s_0 -> s_2), ... up to n steps, then one of n steps per
  environment step, and at the end the shorter ones that arrive in the last state.
  """

  def __init__(
    self,
    packing: TransitionPacking,
    write: Callable[[np.ndarray], None],
    n_step: int,
    discount: float,
    flush: Callable[[], None] = lambda: None,
  ):
    """Creates an adder.

    Args:
      packing: the layout of a row.
      write: takes each row, shape [width].
      n_step: environment steps per transition.
      discount: the agent's discount, within a transition of several steps.
      flush: waits until the rows have arrived.
    """
    self._packing = packing
    self._write = write
    self._flush = flush
    self._discount = np.float32(discount)
    # (observation, action, reward, discount) of the last n steps.
    self._steps: deque[tuple[Any, Any, Any, Any]] = deque(maxlen=n_step)
    self._observation: Any = None

  def reset(self) -> None:
    self._steps.clear()
    self._observation = None

  def flush(self) -> None:
    """Waits until all that was added is in replay; the last few rows travel behind."""
    self._flush()

  def add_first(self, timestep: dm_env.TimeStep) -> None:
    if not timestep.first():
      raise ValueError('add_first needs the first timestep of an episode.')
    self._steps.clear()
    # A copy, for environments may write the next observation over this one.
    self._observation = jax.tree.map(np.array, timestep.observation)

  def add(self, action: Any, next_timestep: dm_env.TimeStep, extras: Any = ()) -> None:
    if self._observation is None:
      raise ValueError('add_first must be called before add.')
    del extras  # IQ's transitions have none.
    self._steps.append(
      (self._observation, action, next_timestep.reward, next_timestep.discount)
    )
    self._observation = jax.tree.map(np.array, next_timestep.observation)
    self._write_transition()
    if next_timestep.last():
      while len(self._steps) > 1:
        self._steps.popleft()
        self._write_transition()
      self.reset()

  def _write_transition(self) -> None:
    """Writes the transition from the first kept step to the newest observation."""
    observation, action, reward, discount = self._steps[0]
    for i in range(1, len(self._steps)):
      _, _, next_reward, next_discount = self._steps[i]
      # One discount fewer than steps: the update multiplies by one more.
      discount = discount * self._discount
      reward = reward + next_reward * discount
      discount = discount * next_discount
    self._write(
      self._packing.pack(
        Transition(observation, action, reward, discount, self._observation)
      )
    )


class RowWriter:
  """Writes rows to a Reverb table, one item per group of rows."""

  def __init__(self, client: reverb.Client, table: str, group_size: int | None = None):
    """Opens a writer.

    Args:
      client: a client of the server that holds the table.
      table: its name. Its signature is one array, [width] where `group_size` is None
        and [rows, width] otherwise.
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
      self.flush()

  def flush(self) -> None:
    """Sends what there is of a group."""
    if not self._rows:
      return
    if len(self._rows) < self._group_size:
      # A writer keeps to one shape. Closing it sends the earlier groups first.
      self.close_writer()
    if self._writer is None:
      self._writer = self._client.trajectory_writer(num_keep_alive_refs=1)
    is_whole = len(self._rows) == self._group_size
    data = np.stack(self._rows) if self._grouped else self._rows[0]
    self.num_rows_sent += len(self._rows)
    self._rows = []
    self._writer.append([data])
    self._writer.create_item(
      table=self._table, priority=1.0, trajectory=[self._writer.history[0][-1]]
    )
    self.num_items_written += 1
    if is_whole:
      # Bounds what is in flight, so that a blocked table blocks the actor in turn.
      self._writer.flush(block_until_num_items=8)
    else:
      self.close_writer()

  def close_writer(self) -> None:
    """Waits until everything sent so far has arrived, and closes the writer."""
    if self._writer is not None:
      self._writer.flush()
      self._writer.close()
      self._writer = None
