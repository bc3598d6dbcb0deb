"""The folders of a population's members, each that of a single run."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from iq_acme import evaluation
from iq_acme.population.members import Member, population_of, record_of
from iq_acme.storage import files
from iq_acme.training import opening, plotting
from iq_acme.training.records import RunRecords
from iq_acme.training.run_directory import RunDirectory, RunDirectoryError


class Folders:
  """The folders of all members; the first one's has what belongs to all."""

  def __init__(
    self,
    members: Sequence[Member],
    stack: contextlib.ExitStack,
    position: Callable[[], Mapping[str, int]],
  ):
    """Locks the folders and checks that they are these members'; changes nothing.

    Args:
      members: whose.
      stack: closes what this opens.
      position: says where the run stands; see `MultiLogger`.

    Raises:
      RunDirectoryError: if one is in use, or belongs to another run, or the population
        began with other members.
    """
    self.first = first = RunDirectory(members[0].settings.workdir).path
    self._folders = [MemberFolder(x, first, stack, position) for x in members]
    self._names = [os.path.relpath(x.directory.path, first) for x in self._folders]
    before = files.read_json(record_of(first), list)
    if before is not None and before != self._names:
      raise RunDirectoryError(
        f'{first} is the first of a population of {len(before)} members, and '
        'others were asked for, or in another order: go on with the same members as '
        'then, or give these a --workdir of their own.'
      )

  def __iter__(self) -> Iterator['MemberFolder']:
    return iter(self._folders)

  def __getitem__(self, index: int) -> 'MemberFolder':
    return self._folders[index]

  def open(self, actor_steps: int, learner_steps: int, seconds: float) -> None:
    """Makes the folders fit the step that the population starts from."""
    first, *others = self._folders
    first.open(actor_steps, learner_steps, seconds)
    # Before the others are touched: killed in between, all still belong together.
    files.write_json(record_of(self.first), self._names)
    for folder in others:
      folder.open(actor_steps, learner_steps, seconds)

  def going(self) -> np.ndarray:
    """Returns which members have not been stopped, bool [M]."""
    return np.array([folder.stopped is None for folder in self._folders])

  def close(self, finished: bool) -> None:
    """Records whether the run has reached its end, and draws the curves."""
    for folder in self._folders:
      folder.directory.update_summary(finished=finished and folder.stopped is None)
    for folder in self._folders:
      plotting.plot_curve(folder.directory.path)


class MemberFolder:
  """A member's run folder, which is that of a single run.

  Attributes:
    directory: the folder.
    stopped: why the member does not go on, None if it does.
    records: its episodes, evaluations and metrics.
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
    self._first = os.path.relpath(first, directory.path)
    theirs = population_of(settings)
    if theirs not in (None, os.path.abspath(first)):
      raise RunDirectoryError(
        f'{directory.path} belongs to the population whose checkpoints are in '
        f'{files.readable_path(theirs)}: go on with the same members as then, or give '
        'these a --workdir of their own.'
      )
    self.records = RunRecords(directory, settings.tensorboard, position, stack)

  def open(self, actor_steps: int, learner_steps: int, seconds: float) -> None:
    """Makes the folder fit the step that the population starts from."""
    config = self.settings.config()
    opening.open_folder(
      self.directory, self.settings, config, actor_steps, learner_steps
    )
    if self._first != os.curdir:
      self.directory.update_summary(population=self._first)
    self.records.open(actor_steps, seconds)

  def stop(self, reason: str) -> None:
    """Records why the member does not go on; it never does again."""
    self.stopped = reason
    self.directory.update_summary(stopped=reason)


def population_line(step: int, rows: Sequence[Mapping[str, float]]) -> str:
  """Returns the line that shows an evaluation of all members.

  Args:
    step: environment steps of each member.
    rows: `RunRecords.add_evaluation`'s.
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
  return f'{np.median(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})'
