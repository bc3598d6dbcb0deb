"""Rows of replay from the steps of all members at once.

Shapes: M members, n steps of a transition, W numbers of a row.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from iq_acme.transitions import Transition, TransitionPacking


class NStepRows:
  """Does for arrays [M, ...] what `NStepTransitions` does for one episode."""

  def __init__(
    self, packing: TransitionPacking, n_step: int, discounts: Sequence[float]
  ):
    """Begins before the first step.

    Args:
      packing: the layout of a row.
      n_step: environment steps per transition.
      discounts: of each member, within a transition of several steps.
    """
    self._packing = packing
    self._discounts = np.asarray(discounts, np.float32)
    # (observation, action, reward, discount) of the last n steps, newest first.
    self._steps: deque[tuple[Any, np.ndarray, np.ndarray, np.ndarray]] = deque(
      maxlen=n_step
    )
    self._ages = np.zeros(len(discounts), int)

  def add(
    self,
    observation: np.ndarray,
    action: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
    next_observation: np.ndarray,
    last: np.ndarray,
    active: np.ndarray,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Takes a step of every member, of which the arrays may be used again.

    Args:
      observation: [M, ...].
      action: [M, ...].
      reward: [M].
      discount: [M].
      next_observation: what the step led to, [M, ...].
      last: whether it ended the episode, [M].
      active: whether there was a step, [M].

    Returns:
      Rows [M, n, W], from the longest transition to the shortest, and how many of the n
      are rows, [M].
    """
    step = tuple(np.array(x) for x in (observation, action, reward, discount))
    self._steps.appendleft(step)
    self._ages = np.where(active, self._ages + 1, self._ages)
    lengths = np.minimum(self._ages, self._steps.maxlen)
    starts = [self._packing.pack_batch(Transition(*step, next_observation))]
    _, _, total, product = step
    for earlier, act, r, d in list(self._steps)[1:]:
      # One discount fewer than steps: the update multiplies by one more.
      within = d * self._discounts
      total, product = r + within * total, within * product
      transition = Transition(earlier, act, total, product, next_observation)
      starts.append(self._packing.pack_batch(transition))
    counts = np.where(active, np.where(last, lengths, 1), 0)
    rows = np.stack(starts, axis=1)  # From the newest start to the oldest.
    if self._steps.maxlen > 1:
      offset = np.arange(self._steps.maxlen)
      index = np.clip(lengths[:, None] - 1 - offset, 0, rows.shape[1] - 1)
      rows = np.take_along_axis(rows, index[:, :, None], axis=1)
    self._ages[last] = 0
    return rows, counts
