"""The coordinator of a program: shows its progress, and brings it to its end."""

import collections
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import launchpad as lp

from iq_acme.distributed.settings import LoggerFactory, ProgramSettings
from iq_acme.supervisor import supervision

_POLL_SECONDS = 0.1
_LINE_SECONDS = 60.0


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
    self._error: BaseException | None = None
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
    self._wait_until(lambda: self._counter.start_steps() is not None)
    self._last_poll = time.monotonic()
    self._wait_until(self._is_over)
    interrupted = self._is_interrupted()
    self._counter.close()
    self._wait_until(
      lambda: self._counter.num_retired() == self._settings.num_actors, stoppable=False
    )
    steps = int(self._poll().get('actor_steps', 0))
    interrupted = self._finish(
      lambda complete: self._learner.finish(steps, complete),
      self._learner.is_finished,
      interrupted,
    )
    interrupted = self._finish(
      self._evaluator.finish, self._evaluator.is_finished, interrupted
    )
    self._logger.close()
    self._stop(interrupted)

  def _is_over(self) -> bool:
    return self._poll().get('actor_steps', 0) >= self._settings.max_number_of_steps

  def _is_interrupted(self) -> bool:
    return self._records is not None and self._records.stop_requested()

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
    if is_finished():
      return interrupted
    finish(False)
    self._wait_until(is_finished, stoppable=False)
    return True

  def _wait_until(self, condition: Callable[[], bool], stoppable: bool = True) -> None:
    """Waits for a condition, or if `stoppable`, for a request to stop."""
    while not condition():
      if self._error is not None:
        raise self._error
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
