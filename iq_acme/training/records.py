"""What a run writes of its episodes and evaluations, whatever engine trains it."""

import contextlib
import math
from collections.abc import Callable, Mapping

from iq_acme.episodes import Episode
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory


class RunRecords:
  """Writes a run's files of metrics, and knows which evaluations are in them.

  Attributes:
    learner: takes rows of the learner's metrics.
    evaluated: steps that have been evaluated; empty until `open`.
  """

  def __init__(
    self,
    directory: RunDirectory,
    tensorboard: bool,
    position: Callable[[], Mapping[str, int]],
    stack: contextlib.ExitStack,
  ):
    """Makes the loggers, which open their files at the first row.

    Args:
      directory: the run's folder.
      tensorboard: whether to write TensorBoard events too.
      position: says where the run stands; see `MultiLogger`.
      stack: closes the files.
    """
    self._directory = directory
    self.learner, self._episodes, self._evaluations = (
      stack.enter_context(
        contextlib.closing(directory.make_logger(label, tensorboard, position))
      )
      for label in ('learner', 'actor', 'evaluator')
    )
    self.evaluated: set[int] = set()
    self._last_evaluation = (0, 0.0)

  def open(self, step: int, seconds: float) -> None:
    """Begins at a step, what lies beyond it having been cut.

    Args:
      step: the run's.
      seconds: of training until then.
    """
    rows = metrics_files.read_rows(self._directory.evaluations)
    column = self._directory.step_column
    self.evaluated = {int(row[column]) for row in rows}
    self._last_evaluation = (step, seconds)

  def add_episode(self, episode: Episode, seconds: float) -> None:
    """Writes the row of a training episode that ended after these training seconds."""
    self._episodes.write(
      {
        'episode_return': episode.episode_return,
        'episode_length': episode.length,
        **episode.metrics,
        'training_seconds': seconds,
      }
    )

  def add_evaluation(
    self, step: int, values: Mapping[str, float], seconds: float
  ) -> dict[str, float]:
    """Writes an evaluation's row.

    Args:
      step: the run's.
      values: `evaluation.evaluate_agent`'s.
      seconds: of training until then.

    Returns:
      The row: the values, the seconds and the steps a second since the last one.
    """
    last_step, last_seconds = self._last_evaluation
    elapsed = seconds - last_seconds
    speed = (step - last_step) / elapsed if step > last_step else math.nan
    row = {**values, 'training_seconds': seconds, 'steps_per_second': speed}
    self._evaluations.write(row)
    self.evaluated.add(step)
    self._last_evaluation = (step, seconds)
    return row
