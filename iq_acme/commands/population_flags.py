"""Flags that make many members of one run: seeds, algorithms and values of a sweep."""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import Any

from absl import flags

from iq_acme.commands import algorithms, parsing
from iq_acme.config import IQConfig

# Those that ask for a population by themselves.
_ASKING = ('seeds', 'sweep')
DEPENDENT = ('num_env_workers', 'members_at_once')
# Of what replay begins with, which a local run's alone does.
_OF_DATA = ('demonstrations', 'num_sgd_steps')
# Of Acme's replay; a population has rings of its own.
_OF_ACME = (
  'replay',
  'prefetch_size',
  'num_sampling_workers',
  'samples_per_insert_tolerance_rate',
)
_RANGE = re.compile(r'(\d+)(?:-(\d+))?$')
_MOST_SEEDS = 10_000


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
  define_resources(values)


def define_resources(values: flags.FlagValues) -> None:
  """Defines what a population may take of the machine."""
  define = parsing.definers(values)
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
  if values.engine not in (None, 'agent', 'population'):
    raise ValueError(f"--engine={values.engine} must be 'agent' or 'population'.")
  if values.algorithm == []:
    raise ValueError(f'--algorithm= names none of {", ".join(algorithms.NAMES)}.')
  asking = [f'--{name}' for name in _ASKING if values[name].present]
  if values.algorithm and len(values.algorithm) > 1:
    asking.append('several of --algorithm')
  if values.engine == 'population':
    asking.append('--engine=population')
  depending = [f'--{name}' for name in DEPENDENT if values[name].present]
  data = [f'--{name}' for name in _OF_DATA if values[name].present]
  others = ['--run_distributed'] * values.run_distributed + asking
  if data and (others or not has_acme):
    other = f', and {others[0]} is given' if others else ", and Acme isn't installed"
    raise ValueError(
      f"{data[0]} is for one run of Acme's parts in one process (--engine=agent){other}."
    )
  if values.engine == 'agent' or values.run_distributed:
    other = '--run_distributed' if values.run_distributed else '--engine=agent'
    for asked in asking + depending:
      raise ValueError(f'{other} trains one seed, and {asked} is for a population.')
    return False
  if values.seeds is not None and values['seed'].present:
    raise ValueError('--seed and --seeds are both given; give one of them.')
  is_population = bool(asking) or not has_acme
  if is_population and not values.checkpoint_replay:
    raise ValueError(
      "--nocheckpoint_replay is for single runs of Acme's parts (--engine=agent): "
      "a population's checkpoints hold its replay."
    )
  for name in _OF_ACME:
    if is_population and values[name].value not in (None, 'resident'):
      raise ValueError(
        f"--{name} is for single runs of Acme's parts (--engine=agent): a population's "
        'replay is a ring on its own device.'
      )
  if depending and not is_population:
    raise ValueError(f'{depending[0]} is for populations: give --seeds too.')
  return is_population


def variations(values: flags.FlagValues) -> Iterator[Variation]:
  """Yields what the members are: every algorithm, combination of values and seed.

  An algorithm without a hyperparameter of the sweep, such as SAC, is not varied by it.

  Raises:
    ValueError: for seeds or a sweep that cannot be read.
  """
  seeds = [values.seed] if values.seeds is None else parse_seeds(values.seeds)
  swept = [_parse_sweep(text, values) for text in values.sweep]
  names = [name for name, _ in swept]
  for name in names:
    if values[name].present or names.count(name) > 1:
      raise ValueError(f'--sweep={name}=... and --{name} both say what {name} is.')
  left = set(names)
  for algorithm in values.algorithm or [None]:
    config = algorithms.make_config(algorithm or 'm_iq', values.env_name)
    known = {field.name for field in dataclasses.fields(config)}
    kept = [(name, options) for name, options in swept if name in known]
    left -= known
    for combination in itertools.product(*(options for _, options in kept)):
      overrides = dict(zip((name for name, _ in kept), combination))
      for seed in seeds:
        yield Variation(algorithm, overrides, seed)
  if left:
    raise ValueError(
      f'--sweep={left.pop()}=... is given, but {", ".join(values.algorithm)} has no such '
      'hyperparameter.'
    )


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
    first, last = int(match[1]), int(match[2] or match[1])
    if last - first >= _MOST_SEEDS:
      raise ValueError(f'--seeds={text!r} names more than {_MOST_SEEDS:,} seeds.')
    seeds += range(first, last + 1)
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--seeds={text!r} names a seed twice.')
  return seeds


def _parse_sweep(text: str, values: flags.FlagValues) -> tuple[str, list[Any]]:
  name, equals, options = text.partition('=')
  if not (equals and options):
    raise ValueError(
      f'--sweep={text!r} must be a hyperparameter and values, such as '
      'temperature=1e-3,1e-2.'
    )
  # Values that are lists would need another comma.
  left_out = {*_OF_ACME, 'hidden_layer_sizes'}
  allowed = sorted({x.name for x in dataclasses.fields(IQConfig)} - left_out)
  if name not in allowed:
    raise ValueError(
      f'--sweep={text!r}: {name} is no hyperparameter that can be swept; these can: '
      f'{", ".join(allowed)}.'
    )
  try:
    parsed = [values[name].parser.parse(option) for option in options.split(',')]
  except ValueError as error:
    raise ValueError(f'--sweep={text!r}: {error}.') from None
  if len(set(map(str, parsed))) < len(parsed):
    raise ValueError(f'--sweep={text!r} names a value twice.')
  return name, parsed
