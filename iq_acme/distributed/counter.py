"""The counts of a program, and the one place where its step budget is given out."""

import threading
from collections.abc import Mapping

from acme.utils import counting


class StepCounter(counting.Counter):
  """Acme's counter, of which actors also claim the steps that they may take.

  Acme's own limiter polls what actors report once an episode, and overshoots by as
  much. Here an actor claims a few steps at a time before it takes them, so that a
  budget is kept exactly, however many actors share it.
  """

  def __init__(self, max_steps: int):
    """Creates a counter that grants nothing before `open`.

    Args:
      max_steps: the budget, over all actors and all resumes.
    """
    super().__init__()
    self._max_steps = max_steps
    self._claims = threading.Lock()
    self._granted: int | None = None
    self._start_steps: int | None = None
    self._closed = False
    self._retired: set[int] = set()

  def open(self, counts: Mapping[str, float]) -> None:
    """Begins to grant steps, from where the run stands.

    Args:
      counts: those of the checkpoint, empty for a new run.
    """
    self.restore({'counts': dict(counts), 'cache': {}})
    with self._claims:
      self._start_steps = int(counts.get('actor_steps', 0))
      self._granted = self._start_steps

  def start_steps(self) -> int | None:
    """Returns the actor steps that this start begins at; None before `open`."""
    return self._start_steps

  def claim_steps(self, done: int, wanted: int) -> int:
    """Reports steps taken and claims some more.

    Args:
      done: steps taken since the last claim.
      wanted: steps to be taken next.

    Returns:
      How many of them may be taken; 0 once the budget is spent or the run is to stop.
    """
    self.increment(actor_steps=done)
    with self._claims:
      if self._granted is None or self._closed:
        return 0
      granted = min(wanted, max(0, self._max_steps - self._granted))
      self._granted += granted
      return granted

  def close(self) -> None:
    """Grants no further steps."""
    with self._claims:
      self._closed = True

  def retire(self, rank: int) -> None:
    """Takes note that an actor has delivered all that it will ever deliver."""
    with self._claims:
      self._retired.add(rank)

  def num_retired(self) -> int:
    """Returns how many actors have retired."""
    return len(self._retired)

  def run(self) -> None:
    """Serves until the program stops."""
    threading.Event().wait()
