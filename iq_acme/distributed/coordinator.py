"""The coordinator of a program: shows its progress, and brings it to its end."""

import collections
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any

import launchpad as lp

from iq_acme.compat import loopback
from iq_acme.distributed.settings import EVALUATOR, LoggerFactory, ProgramSettings
from iq_acme.supervisor import supervision

_POLL_SECONDS = 0.1
_LINE_SECONDS = 60.0
# How long a request to stop waits for one call of an environment.
_STOP_PATIENCE_SECONDS = 10.0
_LISTENS = (
  'The servers of this program listen on every interface, ask nobody who they are, and '
  f'run what they are sent. If all nodes are on one machine, set {loopback.VARIABLE}=local '
  f'or use `iq_acme.launch`; {loopback.VARIABLE}=all silences this line.'
)


class CoordinatorWorker:
  """Ends the run at its step budget, in this order: actors, learner, evaluator.

  The learner takes the SGD steps that are still due and writes the checkpoint and the
  policy; then the evaluator evaluates that policy; then the program stops. Launchpad's
  own stop would tell all nodes at once, and kill them ten seconds later.
  """

  def __init__(
    self,
    settings: ProgramSettings,
    logger_factory: LoggerFactory,
    counter: Any,
    learner: Any,
    evaluator: Any,
  ):
    """Creates the coordinator; nothing is asked of other nodes yet.

    Args:
      settings: of the program.
      logger_factory: makes the logger of episodes.
      counter: a client of the `StepCounter`.
      learner: a client of the learner.
      evaluator: a client of the evaluator.
    """
    self._settings = settings
    self._counter = counter
    self._learner = learner
    self._evaluator = evaluator
    self._logger = logger_factory('actor')
    self._logging = threading.Lock()  # Courier serves actors in several threads.
    self._records = supervision.Records.of_this_process()
    self._counts: Mapping[str, float] = {}
    self._returns: collections.deque[float] = collections.deque(maxlen=10)
    self._answer: futures.Future | None = None  # Of the evaluator.
    self._error: BaseException | None = None
    self._actors = [f'actor/{rank}' for rank in range(settings.num_actors)]
    self._watched = [*self._actors, EVALUATOR]
    # Those that are silent, and after how many seconds they are named again.
    self._named: dict[str, float] = {}
    self._next_look = 0.0
    self._shown: tuple[float, Mapping[str, float]] | None = None
    self._last_poll = time.monotonic()

  def record_episode(self, row: Mapping[str, float]) -> None:
    """Logs a finished episode of an actor, at the steps of this moment."""
    try:
      with self._logging:
        self._logger.write({**self._position(), **row, **self._seconds()})
        self._returns.append(row['episode_return'])
    except BaseException as error:  # The actor does not wait for the answer.
      self._error = error

  def run(self) -> None:
    """Follows the run to its end, and stops the program."""
    if self._records is None and loopback.choice() is None:
      supervision.say(_LISTENS)
    self._wait_until(lambda: self._counter.start_steps() is not None)
    self._last_poll = time.monotonic()
    self._wait_until(self._is_over)
    interrupted = self._is_interrupted()
    self._counter.close()
    self._wait_until(self._actors_are_done, stoppable=False)
    self._leave_out(self._actors)
    steps = int(self._poll().get('actor_steps', 0))
    interrupted = self._finish(
      lambda complete: self._learner.finish(steps, complete),
      self._learner.is_finished,
      interrupted,
    )
    if not self._evaluator_is_silent():
      interrupted = self._finish(
        self._evaluator.futures.finish,
        lambda: self._evaluator_is_silent() or self._evaluator_is_finished(),
        interrupted,
      )
    self._leave_out([EVALUATOR])
    self._logger.close()
    self._stop(interrupted)

  def _is_over(self) -> bool:
    return self._poll().get('actor_steps', 0) >= self._settings.max_number_of_steps

  def _is_interrupted(self) -> bool:
    return self._records is not None and self._records.stop_requested()

  def _silent(self, nodes: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Nodes that are not worth waiting for any more: soon after a request to stop."""
    patience = self._settings.environment_patience
    if self._is_interrupted():
      patience = min(patience, _STOP_PATIENCE_SECONDS)
    return self._counter.silent(nodes, patience)

  def _actors_are_done(self) -> bool:
    silent = len(self._silent(self._actors))
    return self._counter.num_retired() + silent >= self._settings.num_actors

  def _evaluator_is_silent(self) -> bool:
    return bool(self._silent([EVALUATOR]))

  def _evaluator_is_finished(self) -> bool:
    """Asks without waiting: if its environment keeps Python's lock, none will answer."""
    if self._answer is None:
      self._answer = self._evaluator.futures.is_finished()
    if not self._answer.done():
      return False
    answer, self._answer = self._answer, None
    return answer.result()

  def _leave_out(self, nodes: Sequence[str]) -> None:
    """Says what the end of the run does not have of nodes that are silent."""
    for node, (call, seconds) in self._silent(nodes).items():
      self._watched.remove(node)
      steps = self._counter.give_back(node)
      missing = f'the {steps} steps that it had claimed' if steps else 'it'
      supervision.say(f'{_describe(node, call, seconds)} The end is without {missing}.')

  def _name_silent_nodes(self) -> None:
    """Says who is silent, and gives the steps of actors among them to the others."""
    now = time.monotonic()
    if now < self._next_look:
      return
    self._next_look = now + 1.0
    patience = self._settings.environment_patience
    silent = self._counter.silent(self._watched, patience)
    for node in self._named.keys() & set(self._watched) - silent.keys():
      del self._named[node]
      supervision.say(f'{node} is back.')
    for node, (call, seconds) in silent.items():
      steps = self._counter.give_back(node) if len(self._actors) > 1 else 0
      if seconds < self._named.get(node, 0.0):
        continue
      self._named[node] = 2 * seconds
      text = _describe(node, call, seconds)
      if steps:
        text += f' The {steps} steps that it had claimed go to other actors.'
      supervision.say(text)

  def _finish(
    self,
    finish: Callable[[bool], None],
    is_finished: Callable[[], bool],
    interrupted: bool,
  ) -> bool:
    """Brings a node to its end: the complete one, unless there is a request to stop.

    Args:
      finish: tells the node whether its end is to be complete.
      is_finished: whether it has come to it.
      interrupted: whether there has been a request to stop.

    Returns:
      Whether there has been one by now.
    """
    finish(not interrupted)

    def is_over() -> bool:
      return is_finished() or (not interrupted and self._is_interrupted())

    self._wait_until(is_over, stoppable=False)
    # Not asked once more without a request: an answer may take a moment.
    if interrupted or not self._is_interrupted() or is_finished():
      return interrupted
    finish(False)
    self._wait_until(is_finished, stoppable=False)
    return True

  def _wait_until(self, condition: Callable[[], bool], stoppable: bool = True) -> None:
    """Waits for a condition, or if `stoppable`, for a request to stop."""
    while not condition():
      if self._error is not None:
        raise self._error
      self._name_silent_nodes()
      if stoppable and self._is_interrupted():
        return
      time.sleep(_POLL_SECONDS)

  def _poll(self) -> Mapping[str, float]:
    """Counts the time, reads the counts, and shows a line if one is due."""
    now = time.monotonic()
    elapsed, self._last_poll = now - self._last_poll, now
    self._counts = self._counter.increment(training_seconds=elapsed)
    if self._shown is None:
      self._shown = (now, self._counts)
    elif now - self._shown[0] >= _LINE_SECONDS:
      supervision.say(self._line(now))
      self._shown = (now, self._counts)
    return self._counts

  def _line(self, now: float) -> str:
    shown_at, before = self._shown

    def rate(name: str) -> float:
      return (self._counts.get(name, 0) - before.get(name, 0)) / (now - shown_at)

    statistics = self._learner.statistics()
    position = self._position()
    parts = [f'{position["actor_steps"]:,}/{self._settings.max_number_of_steps:,}']
    if self._returns:
      parts.append(f'return {sum(self._returns) / len(self._returns):,.1f}')
    parts += [
      f'{rate("actor_steps"):,.0f} steps/s',
      f'{rate("learner_steps"):,.0f} updates/s',
      f'{statistics["samples_per_insert"]:.1f} samples per insert',
    ]
    return ' · '.join(parts)

  def _position(self) -> dict[str, int]:
    return {
      name: int(self._counts.get(name, 0)) for name in ('actor_steps', 'learner_steps')
    }

  def _seconds(self) -> dict[str, float]:
    return {'training_seconds': self._counts.get('training_seconds', 0.0)}

  def _stop(self, interrupted: bool) -> None:
    statistics = self._learner.statistics()
    if self._records:
      self._records.set_result(
        {
          'finished': not interrupted,
          **self._position(),
          **self._seconds(),
          **statistics,
        }
      )
    lp.stop()


def _describe(node: str, call: str, seconds: float) -> str:
  if not call:
    return f'{node} has not been heard of for {seconds:,.0f} s.'
  return f'{node}: its environment has not returned from {call} for {seconds:,.0f} s.'
