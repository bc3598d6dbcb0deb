"""Flags that make many members of one run: seeds, algorithms and values of a sweep."""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import Any

from absl import flags

from iq_acme.commands import parsing

# Those that ask for a population by themselves.
_ASKING = ('seeds', 'sweep')
_RANGE = re.compile(r'(\d+)(?:-(\d+))?$')


@dataclasses.dataclass(frozen=True)
class Variation:
  """What a member differs by from the others.

  Attributes:
    algorithm: its name; None for what the flags make of m_iq.
    overrides: values of the sweep, by field.
    seed: its seed.
  """

  algorithm: str | None
  overrides: dict[str, Any]
  seed: int

  def variant(self, algorithm: str) -> str:
    """Returns the name of all seeds of it, such as 'm_iq-temperature=0.01'."""
    values = (
      f'{k}={v:g}' if isinstance(v, float) else f'{k}={v}'
      for k, v in self.overrides.items()
    )
    return '-'.join([algorithm, *values])


def define_flags(values: flags.FlagValues) -> None:
  """Defines --seeds, --sweep and what goes with them."""
  define = parsing.definers(values)
  define.string(
    'seeds', None, 'Seeds of a population, such as 0-19 or 0,3,7-9; not with --seed.'
  )
  define.multi_string(
    'sweep',
    [],
    'A hyperparameter and its values, such as temperature=1e-3,1e-2: a population has '
    'members of each. May be repeated, for all combinations.',
  )
  define.integer(
    'num_env_workers',
    None,
    "Processes that step a population's environments; unset: as many as cores.",
    1,
  )
  define.integer(
    'members_at_once',
    None,
    'Members that are trained at once, the others afterwards; unset: all whose replay '
    'fits in memory.',
    1,
  )


def asked_for(values: flags.FlagValues, has_acme: bool) -> bool:
  """Returns whether a population is to train what the flags describe.

  Args:
    values: the flags.
    has_acme: whether Acme is installed, without which a population is all there is.

  Raises:
    ValueError: for flags that exclude each other.
  """
  asking = [f'--{name}' for name in _ASKING if values[name].present]
  if values.algorithm and len(values.algorithm) > 1:
    asking.append('several of --algorithm')
  if values.engine == 'agent' or values.run_distributed:
    other = '--run_distributed' if values.run_distributed else '--engine=agent'
    if asking or (values.engine == 'population'):
      asked = asking[0] if asking else '--engine=population'
      raise ValueError(f'{other} trains one seed, and {asked} asks for a population.')
    return False
  if values.seeds is not None and values['seed'].present:
    raise ValueError('--seed and --seeds are both given; give one of them.')
  is_population = bool(asking) or values.engine == 'population' or not has_acme
  if is_population and not values.checkpoint_replay:
    raise ValueError(
      "--nocheckpoint_replay is for single runs of Acme's parts (--engine=agent): "
      "a population's checkpoints hold its replay."
    )
  for name in ('num_env_workers', 'members_at_once'):
    if values[name].present and not is_population:
      raise ValueError(f'--{name} is for populations: give --seeds too.')
  return is_population


def variations(values: flags.FlagValues) -> Iterator[Variation]:
  """Yields what the members are: every algorithm, combination of values and seed.

  Raises:
    ValueError: for seeds or a sweep that cannot be read.
  """
  seeds = [values.seed] if values.seeds is None else parse_seeds(values.seeds)
  swept = [_parse_sweep(text, values) for text in values.sweep]
  names = [name for name, _ in swept]
  for name in names:
    if values[name].present or names.count(name) > 1:
      raise ValueError(f'--sweep={name}=... and --{name} both say what {name} is.')
  for algorithm in values.algorithm or [None]:
    for combination in itertools.product(*(options for _, options in swept)):
      for seed in seeds:
        yield Variation(algorithm, dict(zip(names, combination)), seed)


def parse_seeds(text: str) -> list[int]:
  """Returns seeds in the order of a text such as '0-3,7'.

  Raises:
    ValueError: if it is no such text, or names a seed twice.
  """
  seeds: list[int] = []
  for part in text.split(','):
    match = _RANGE.match(part.strip())
    if match is None or (match[2] and int(match[2]) < int(match[1])):
      raise ValueError(f'--seeds={text!r} must be such as 0-19 or 0,3,7-9.')
    seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--seeds={text!r} names a seed twice.')
  return seeds


def _parse_sweep(text: str, values: flags.FlagValues) -> tuple[str, list[Any]]:
  name, equals, options = text.partition('=')
  if not (equals and options) or name not in values:
    raise ValueError(
      f'--sweep={text!r} must be a hyperparameter and values, such as '
      'temperature=1e-3,1e-2.'
    )
  parser = values[name].parser
  parsed = [parser.parse(option) for option in options.split(',')]
  if len(set(map(str, parsed))) < len(parsed):
    raise ValueError(f'--sweep={text!r} names a value twice.')
  return name, parsed
