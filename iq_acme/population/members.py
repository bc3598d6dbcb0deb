"""The members of a population: which can share a program, and the folder of each."""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from iq_acme import evaluation
from iq_acme.episodes import Episode
from iq_acme.population.algorithm import Family
from iq_acme.storage import files
from iq_acme.training import metrics_files, opening
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError
from iq_acme.training.settings import RunSettings

_MEMBERS = 'population.json'


@dataclasses.dataclass(frozen=True)
class Member:
  """One run among others.

  Attributes:
    settings: of the run, with a folder of its own and the engine 'population'.
    config: the algorithm's configuration.
    family: what makes the algorithm of it.
  """

  settings: RunSettings
  config: Any
  family: Family


def group(members: Sequence[Member], at_once: int | None = None) -> list[list[Member]]:
  """Returns the members that can be one population each.

  Args:
    members: in any order.
    at_once: how many there may be in one; None for as many as there are.

  Returns:
    Groups of one task, one schedule and one program, in the order of the members.
  """
  groups: dict[str, list[Member]] = {}
  for member in members:
    shared = member.settings.config()
    del shared['seed'], shared['agent'], shared['algorithm']
    program = {
      'class': type(member.config).__name__,
      **member.family.program(member.config),
    }
    key = json.dumps([shared, program], sort_keys=True, default=list)
    groups.setdefault(key, []).append(member)
  parts = []
  for left in groups.values():
    while left:
      # Those that have begun go on as they were, whatever fits at once today.
      first = left[0].settings.workdir
      begun = recorded_members(first) or []
      part = [x for x in left if os.path.relpath(x.settings.workdir, first) in begun]
      part = part or left[:at_once]
      parts.append(part)
      left = [member for member in left if member not in part]
  return parts


def recorded_members(first: str) -> list[str] | None:
  """Returns the members' folders, relative to the first one's, that a population began with."""
  return files.read_json(os.path.join(first, _MEMBERS), list)


def record_members(first: str, folders: Sequence[str]) -> None:
  """Keeps what `recorded_members` returns."""
  files.write_json(os.path.join(first, _MEMBERS), list(folders))


def has_finished(settings: RunSettings) -> bool:
  """Returns whether a run has reached its last step, by its folder's summary."""
  summary = RunDirectory(settings.workdir).read_summary()
  done = summary.get('actor_steps', 0)
  return bool(summary.get('finished')) and settings.num_steps <= done


class MemberFolder:
  """A member's run folder, which is that of a single run.

  Attributes:
    directory: the folder.
    stopped: why the member does not go on, None if it does.
  """

  def __init__(
    self,
    member: Member,
    first: str,
    stack: contextlib.ExitStack,
    position: Callable[[], Mapping[str, int]],
  ):
    """Locks the folder and checks that it is this member's; changes nothing.

    Args:
      member: whose.
      first: the folder of the population's first member, which has the checkpoints.
      stack: closes what this opens.
      position: says where the run stands; see `MultiLogger`.

    Raises:
      RunDirectoryError: if the folder is in use, or belongs to another run.
    """
    settings = self.settings = member.settings
    directory = self.directory = RunDirectory(settings.workdir)
    stack.enter_context(directory.lock())
    directory.check_files()
    directory.check_config(settings.config(), settings.defaults())
    summary = directory.read_summary()
    self.stopped: str | None = summary.get('stopped')
    # Relative, so that the folders can be moved together.
    self._first = os.path.relpath(first, directory.path)
    theirs = summary.get('population', self._first)
    if theirs != self._first:
      path = os.path.normpath(os.path.join(directory.path, theirs))
      raise RunDirectoryError(
        f'{directory.path} belongs to the population whose checkpoints are in '
        f'{files.readable_path(path)}: go on with the same members as then, or give '
        'these a --workdir of their own.'
      )
    self._logs = {
      label: stack.enter_context(
        contextlib.closing(directory.make_logger(label, settings.tensorboard, position))
      )
      for label in ('learner', 'actor', 'evaluator')
    }
    self._last_evaluation = (0, 0.0)
    self.evaluated: set[int] = set()

  def open(self, actor_steps: int, learner_steps: int, seconds: float) -> None:
    """Makes the folder fit the step that the population starts from."""
    config = self.settings.config()
    opening.open_folder(
      self.directory, self.settings, config, actor_steps, learner_steps
    )
    self.directory.update_summary(population=self._first)
    rows = metrics_files.read_rows(self.directory.evaluations)
    self.evaluated = {int(row['actor_steps']) for row in rows}
    self._last_evaluation = (actor_steps, seconds)

  def stop(self, reason: str) -> None:
    """Records why the member does not go on; it never does again."""
    self.stopped = reason
    self.directory.update_summary(stopped=reason)

  def add_episode(self, episode: Episode, seconds: float) -> None:
    """Writes a training episode's row."""
    self._logs['actor'].write(
      {
        'episode_return': episode.episode_return,
        'episode_length': episode.length,
        **episode.metrics,
        'training_seconds': seconds,
      }
    )

  def add_metrics(self, metrics: Mapping[str, float], seconds: float) -> None:
    """Writes a row of the learner's metrics."""
    self._logs['learner'].write({**metrics, 'learner_walltime': seconds})

  def add_evaluation(
    self, step: int, values: dict[str, float], seconds: float
  ) -> dict[str, float]:
    """Writes an evaluation's row, and returns it with its speed."""
    last_step, last_seconds = self._last_evaluation
    elapsed = seconds - last_seconds
    speed = (step - last_step) / elapsed if step > last_step else math.nan
    values = {**values, 'training_seconds': seconds, 'steps_per_second': speed}
    self._logs['evaluator'].write(values)
    self.evaluated.add(step)
    self._last_evaluation = (step, seconds)
    return values


def population_line(step: int, rows: Sequence[Mapping[str, float]]) -> str:
  """Returns the line that shows an evaluation of all members.

  Args:
    step: environment steps of each member.
    rows: `MemberFolder.add_evaluation`'s.
  """
  if len(rows) == 1:
    return evaluation.evaluation_line(step, rows[0])
  parts = []
  for name in evaluation.POLICY_MODES:
    returns = [row[f'{name}_return_mean'] for row in rows]
    parts.append(f'{name} {describe_spread(returns)}')
  if not math.isnan(speed := rows[0]['steps_per_second']):
    parts.append(f'{len(rows)} x {speed:,.0f} steps/s')
  return f'{step:>11,}  ' + ' · '.join(parts)


def describe_spread(values: Sequence[float]) -> str:
  """Returns the median and the range of some numbers, in words."""
  ordered = sorted(values)
  middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
  return f'{middle:,.1f} ({ordered[0]:,.1f} to {ordered[-1]:,.1f})'
