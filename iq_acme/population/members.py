"""The members of a population: which can share a program."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from iq_acme.population.algorithm import Family
from iq_acme.population.engine import Population
from iq_acme.population.rows import NStepRows
from iq_acme.storage import files
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings
from iq_acme.transitions import TransitionPacking


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
  """Returns the members that are one population each and have not finished.

  Args:
    members: in any order.
    at_once: how many there may be in a new population; None for as many as there are.

  Returns:
    Groups of one task, one schedule and one program, in the order of the members. What
    began as one population stays one.
  """
  programs: dict[str, list[Member]] = {}
  for member in members:
    shared = member.settings.config()
    del shared['seed'], shared['agent'], shared['algorithm']
    program = member.family.program(member.config)
    key = [type(member.config).__name__, shared, program]
    text = json.dumps(key, sort_keys=True, default=list)
    programs.setdefault(text, []).append(member)
  groups = []
  for alike in programs.values():
    begun: dict[str | None, list[Member]] = {}
    recorded = {path: x for member in alike for path, x in _recorded(member).items()}
    for member in alike:
      path = RunDirectory(member.settings.workdir).path
      first = recorded.get(os.path.abspath(path)) or population_of(member.settings)
      begun.setdefault(first, []).append(member)
    new = begun.pop(None, [])
    groups += begun.values()
    size = at_once or len(new)
    groups += [new[start : start + size] for start in range(0, len(new), size or 1)]
  return [x for x in groups if not all(has_finished(y.settings) for y in x)]


def has_finished(settings: RunSettings) -> bool:
  """Returns whether a run goes on no more: it reached its last step, or was stopped."""
  summary = RunDirectory(settings.workdir).read_summary()
  done = summary.get('actor_steps', 0)
  ended = summary.get('finished') or summary.get('stopped') is not None
  return bool(ended) and settings.num_steps <= done


def population_of(settings: RunSettings) -> str | None:
  """Returns the folder of the first member of the population that a run belongs to."""
  directory = RunDirectory(settings.workdir)
  first = directory.read_summary().get('population')
  # Relative in the file, so that the folders can be moved together.
  return None if first is None else _absolute(directory.path, first)


def record_of(first: str) -> str:
  """Returns the file that names a population's members, in the folder of the first."""
  return os.path.join(first, 'population.json')


def _recorded(member: Member) -> dict[str, str]:
  """Returns its own folder by those of all that began with it, if it is the first."""
  first = RunDirectory(member.settings.workdir).path
  names = files.read_json(record_of(first), list) or []
  return {_absolute(first, name): os.path.abspath(first) for name in names}


def _absolute(folder: str, relative: str) -> str:
  return os.path.normpath(os.path.join(os.path.abspath(folder), relative))


def make_population(
  members: Sequence[Member], environment_spec: Any
) -> tuple[Population, NStepRows]:
  """Makes the members' initial states, and what makes rows of their steps.

  Args:
    members: of one group of `members.group`'s.
    environment_spec: of the task.
  """
  configs = [member.config for member in members]
  family, config = members[0].family, configs[0]
  n_step = getattr(config, 'n_step', 1)
  # At the end of an episode the shorter transitions come too: fewer than its steps.
  most = members[0].settings.num_steps * min(n_step, 2)
  packing = TransitionPacking(environment_spec)
  population = Population(
    family.make(configs, environment_spec),
    [family.numbers(config) for config in configs],
    [member.settings.seed for member in members],
    packing,
    capacity=min(config.max_replay_size, most),
    batch_size=config.batch_size,
  )
  return population, NStepRows(packing, n_step, [x.discount for x in configs])
