"""Prints what plans cost: hours, disk, and what is left to run."""

import dataclasses
from collections.abc import Callable, Sequence

from experiments.paper import estimates, plans
from experiments.paper.settings import Study


@dataclasses.dataclass(frozen=True)
class Costs:
  """What the costs of plans depend on.

  Attributes:
    root: the folder of all runs, whose measured speeds are taken.
    status: how far a run has come.
    num_workers: runs side by side.
    checkpoint_replay: whether checkpoints hold what is in replay.
  """

  root: str
  status: Callable[[plans.Run], plans.Status]
  num_workers: int
  checkpoint_replay: bool

  def print_plan(self, name: str, studies: Sequence[Study], detailed: bool) -> None:
    """Prints a plan: its title, if detailed a line for each variant, and its total."""
    known = estimates.Estimates(self.root)
    runs = plans.expand(studies)
    print(f'{name}: {"; ".join(study.title for study in studies)}')
    groups: dict[tuple[str, str, int], list[plans.Run]] = {}
    for one in runs:
      groups.setdefault((one.task, one.variant, one.num_steps), []).append(one)
    for (task, variant, steps), group in groups.items() if detailed else ():
      finished = sum(self.status(one).finished for one in group)
      speed = known.speed(group[0])
      hours = sum(known.hours(one) for one in group)
      print(
        f'  {task:<19} {variant:<32} {len(group):>2} x {steps:>10,}  '
        f'{finished} done  {hours:>9,.1f} h  '
        f'{speed.steps_per_second:>4.0f} steps/s ({speed.source})'
      )
    self.print_total(runs)

  def print_total(self, runs: Sequence[plans.Run]) -> None:
    """Prints hours and disk of runs, in all and of those that are left."""
    known = estimates.Estimates(self.root)
    states = [self.status(one) for one in runs]
    left = [
      known.hours(one, state.steps)
      for one, state in zip(runs, states)
      if not state.finished
    ]
    total = sum(known.hours(one) for one in runs)
    wall = estimates.wall_hours(left, self.num_workers)
    disk = sum(estimates.bytes_kept(one, self.checkpoint_replay) for one in runs) / 1e9
    print(
      f'  {len(runs)} runs, {total:,.1f} core hours in all; left: {len(left)} runs, '
      f'{sum(left):,.1f} core hours, {wall:,.1f} hours with {self.num_workers} side by '
      f'side. Disk, once finished: {disk:,.1f} GB.\n'
    )
