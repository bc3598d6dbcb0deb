"""How many SGD steps are due, counted exactly, also across a resume."""

import dataclasses
import fractions
from collections.abc import Mapping
from typing import Any, Protocol


@dataclasses.dataclass(frozen=True)
class UpdateSchedule:
  """One SGD step per `batch_size / samples_per_insert` environment steps.

  Attributes:
    samples_per_step: sampled transitions per environment step.
    batch_size: transitions per SGD step.
    start_actor_steps: environment steps that no SGD step is due for: the uniformly
      random ones, or, if a resumed run has to fill its replay again, all those
      until it is filled.
    start_sgd_steps: SGD steps that were taken by then.
  """

  samples_per_step: float
  batch_size: int
  start_actor_steps: int
  start_sgd_steps: int = 0

  def sgd_steps_due(self, actor_steps: int) -> int:
    """Returns the SGD steps that are due after so many environment steps.

    Args:
      actor_steps: environment steps taken since the very start of the run.

    Returns:
      SGD steps since the very start, `start_sgd_steps` at the least.
    """
    learning_steps = max(0, actor_steps - self.start_actor_steps)
    # As a fraction: in floats, 100 steps of 0.29 samples are fewer than 29 samples.
    samples_per_step = fractions.Fraction(str(self.samples_per_step))
    return self.start_sgd_steps + learning_steps * samples_per_step // self.batch_size

  def after_offline(self, num_sgd_steps: int) -> 'UpdateSchedule':
    """Returns the schedule of a run that took so many SGD steps beside those due."""
    return dataclasses.replace(
      self, start_sgd_steps=self.start_sgd_steps + num_sgd_steps
    )

  def after_refill(
    self, actor_steps: int, sgd_steps: int, missing: int
  ) -> 'UpdateSchedule':
    """Returns the schedule of a run resumed without its replay.

    Args:
      actor_steps: environment steps taken when the run resumes.
      sgd_steps: SGD steps taken when it resumes.
      missing: transitions that replay lacks before it can be sampled.

    Returns:
      A schedule by which nothing is due until replay is filled, and nothing is made
      up for afterwards.
    """
    return dataclasses.replace(
      self, start_actor_steps=actor_steps + missing, start_sgd_steps=sgd_steps
    )

  def continued_as(
    self, planned: 'UpdateSchedule', actor_steps: int
  ) -> 'UpdateSchedule':
    """Returns the schedule of a run that goes on, maybe under other settings.

    Args:
      planned: the schedule of a new run of the settings that it goes on with.
      actor_steps: environment steps taken when it goes on.

    Returns:
      This schedule if nothing has changed. Otherwise one by which the SGD steps due
      by now are the ones of this schedule, and those to come follow the new ratio:
      nothing is made up for, and nothing but a fraction of an SGD step is skipped.
      Steps without learning that are under way are those of the new settings if no
      SGD step was taken yet, else those that this schedule had.
    """
    start = max(actor_steps, self.start_actor_steps)
    if start == self.start_actor_steps and not self.start_sgd_steps:  # Warming up.
      start = max(actor_steps, planned.start_actor_steps)
    elif (self.samples_per_step, self.batch_size) == (
      planned.samples_per_step,
      planned.batch_size,
    ):
      return self
    return dataclasses.replace(
      planned,
      start_actor_steps=start,
      start_sgd_steps=self.sgd_steps_due(actor_steps),
    )


@dataclasses.dataclass(frozen=True)
class Progress:
  """Holds what a run has counted, for a checkpoint.

  Attributes:
    actor_steps: environment steps whose transitions have reached replay.
    sgd_steps: SGD steps taken.
    schedule: what SGD steps are due by.
    counts: of Acme's counter.
    offline_sgd_steps: those of the SGD steps that no environment step paid for.
  """

  actor_steps: int
  sgd_steps: int
  schedule: UpdateSchedule
  counts: Mapping[str, float]
  offline_sgd_steps: int = 0

  def as_json(self) -> dict[str, Any]:
    """Returns what `from_json` takes."""
    return dataclasses.asdict(self) | {'counts': dict(self.counts)}

  @classmethod
  def from_json(cls, values: Mapping[str, Any]) -> 'Progress':
    """Returns the progress that a checkpoint's file holds."""
    return cls(**{**values, 'schedule': UpdateSchedule(**values['schedule'])})


class ResumedLearner(Protocol):
  """Declares what `resume` asks of a learner."""

  def restore(self, state: Any) -> None:
    """Continues from a saved state."""


def resume(
  saved: Progress,
  planned: UpdateSchedule,
  *,
  learner: ResumedLearner,
  learner_state: Any,
  replay_size: int,
  min_replay_size: int,
) -> Progress:
  """Continues a run from a checkpoint, under the settings of today.

  Args:
    saved: what the run had counted.
    planned: the schedule of a new run of today's settings.
    learner: is restored, and acts by its policy if exploration was over.
    learner_state: of the checkpoint.
    replay_size: transitions that the restored replay holds.
    min_replay_size: transitions that it takes to sample.

  Returns:
    What it goes on counting from: nothing is due until replay is filled again, and
    nothing is made up for.
  """
  learner.restore(learner_state)
  steps = saved.actor_steps
  schedule = saved.schedule.continued_as(planned, steps)
  missing = min_replay_size - replay_size
  if missing > 0 and steps + missing > schedule.start_actor_steps:
    schedule = schedule.after_refill(steps, saved.sgd_steps, missing)
  return dataclasses.replace(
    saved, schedule=schedule, counts={**saved.counts, 'actor_steps': steps}
  )
