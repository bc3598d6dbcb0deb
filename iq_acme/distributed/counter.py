"""The counts of a program, and the one place where its step budget is given out."""

import threading
import time
from collections.abc import Mapping, Sequence

from acme.utils import counting


class StepCounter(counting.Counter):
  """Acme's counter, of which actors also claim the steps that they may take.

  Acme's own limiter polls what actors report once an episode, and overshoots by as
  much. Here an actor claims a few steps at a time before it takes them, so that a
  budget is kept exactly, however many actors share it.

  Nodes with environments of their own report to it now and then; those that do not, or
  whose environment does not return, are silent. The claim of a silent actor can be given
  to the others. If it comes back, its steps count as far as the budget has room.
  """

  def __init__(self, max_steps: int):
    """Creates a counter that grants nothing before `open`.

    Args:
      max_steps: the budget, over all actors and all resumes.
    """
    super().__init__()
    self._max_steps = max_steps
    self._claims_lock = threading.Lock()
    self._granted: int | None = None
    self._start_steps: int | None = None
    self._opened_at = float('inf')
    self._closed = False
    self._retired: set[str] = set()
    self._claims: dict[str, int] = {}
    # By node: when it reported last, the call of its environment then, and its seconds.
    self._reports: dict[str, tuple[float, str, float]] = {}

  def open(self, counts: Mapping[str, float]) -> None:
    """Begins to grant steps, from where the run stands.

    Args:
      counts: those of the checkpoint, empty for a new run.
    """
    self.restore({'counts': dict(counts), 'cache': {}})
    with self._claims_lock:
      self._start_steps = int(counts.get('actor_steps', 0))
      self._granted = self._start_steps
      self._opened_at = time.monotonic()

  def start_steps(self) -> int | None:
    """Returns the actor steps that this start begins at; None before `open`."""
    return self._start_steps

  def claim_steps(self, actor: str, done: int, wanted: int) -> int | None:
    """Reports steps taken and claims some more.

    Args:
      actor: the name of its node.
      done: steps taken since the last claim.
      wanted: steps to be taken next.

    Returns:
      How many of them may be taken; 0 once the budget is spent or the run is to stop;
      None if others have claimed all that is left, and might give it back.
    """
    with self._claims_lock:
      if self._claims.pop(actor, None) is None and done:  # It was given back.
        done = self._grant(done)
    self.increment(actor_steps=done)
    with self._claims_lock:
      if self._granted is None or self._closed:
        return 0
      granted = self._grant(wanted)
      if granted:
        self._claims[actor] = granted
      return None if self._claims and not granted else granted

  def give_back(self, actor: str) -> int:
    """Gives the steps that an actor has claimed to the others; returns how many."""
    with self._claims_lock:
      steps = self._claims.pop(actor, 0)
      if steps:
        self._granted -= steps
      return steps

  def close(self) -> None:
    """Grants no further steps."""
    with self._claims_lock:
      self._closed = True

  def retire(self, actor: str) -> None:
    """Takes note that an actor has delivered all that it will ever deliver."""
    with self._claims_lock:
      self._retired.add(actor)

  def num_retired(self) -> int:
    """Returns how many actors have retired."""
    return len(self._retired)

  def report(self, node: str, call: str, seconds: float) -> None:
    """Takes note that a node lives.

    Args:
      node: its name.
      call: the call of its environment that is under way, '' if there is none.
      seconds: how long it has been.
    """
    with self._claims_lock:
      self._reports[node] = (time.monotonic(), call, seconds)

  def silent(
    self, nodes: Sequence[str], patience: float
  ) -> dict[str, tuple[str, float]]:
    """Finds the nodes that are held up in their environments, or do not report at all.

    Args:
      nodes: the names of those to look at; who has retired is not silent.
      patience: seconds before a node is.

    Returns:
      By name, the call that does not return ('' if none was reported), and for how many
      seconds.
    """
    found = {}
    with self._claims_lock:
      for node in nodes:
        at, call, seconds = self._reports.get(node, (self._opened_at, '', 0.0))
        seconds += time.monotonic() - at
        if seconds > patience and node not in self._retired:
          found[node] = (call, seconds)
    return found

  def run(self) -> None:
    """Serves until the program stops."""
    threading.Event().wait()

  def _grant(self, wanted: int) -> int:
    """Takes steps from what is left of the budget; returns how many."""
    granted = min(wanted, max(0, self._max_steps - (self._granted or 0)))
    self._granted = (self._granted or 0) + granted
    return granted
