"""A configuration's fields: each description, range and kind once, for all that asks.

From them come the checks (`check`), the flags (`commands/config_flags.py`) and the
Attributes that `help()` shows (`documented`).
"""

import copy
import dataclasses
import itertools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

_Class = TypeVar('_Class', bound=type)
# The default of a field that has none.
REQUIRED = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class Rule:
  """What a field takes.

  Attributes:
    accepts: whether it takes a value that is not None.
    allowed: what it takes, as words that end an error message.
    optional: whether it takes None.
    is_sequence: whether a list stands for a tuple.
  """

  accepts: Callable[[Any], bool]
  allowed: str
  optional: bool = False
  is_sequence: bool = False


def number(
  default: Any,
  description: str,
  *,
  least: float | None = None,
  most: float = math.inf,
  optional: bool = False,
  elsewhere: str | None = None,
) -> Any:
  """Returns a field for a finite number.

  Args:
    default: its value if none is given; `REQUIRED` if one has to be.
    description: for people to read.
    least: its lower end, which belongs to the range; None for all above 0.
    most: its upper end, which belongs to the range unless it is infinite.
    optional: whether None is taken.
    elsewhere: the paper's value for other tasks and algorithms, in words.
  """
  start = '(0' if least is None else f'[{least:g}'
  end = 'infinity)' if most == math.inf else f'{most:g}]'

  def accepts(value: Any) -> bool:
    return (
      isinstance(value, (int, float))
      and not isinstance(value, bool)
      and math.isfinite(value)
      and (value > 0 if least is None else value >= least)
      and value <= most
    )

  rule = Rule(accepts, f'a number in {start}, {end}', optional)
  return _field(default, description, rule, elsewhere)


def integer(
  default: Any, description: str, *, least: int = 1, optional: bool = False
) -> Any:
  """Returns a field for an integer of at least `least`.

  Args:
    default: its value if none is given; `REQUIRED` if one has to be.
    description: for people to read.
    least: the smallest value that is taken.
    optional: whether None is taken.
  """
  allowed = f'an integer of at least {least}{", or None" if optional else ""}'
  rule = Rule(lambda value: _is_int(value) and value >= least, allowed, optional)
  return _field(default, description, rule)


def choice(
  default: str,
  description: str,
  options: Sequence[str],
  *,
  elsewhere: str | None = None,
) -> Any:
  """Returns a field for one of some words; `elsewhere` is as that of `number`."""
  options = tuple(options)
  rule = Rule(
    lambda value: isinstance(value, str) and value in options, f'one of {options}'
  )
  return _field(default, description, rule, elsewhere)


def boolean(default: bool, description: str) -> Any:
  """Returns a field for True or False."""
  rule = Rule(lambda value: isinstance(value, bool), 'True or False')
  return _field(default, description, rule)


def sizes(default: tuple[int, ...], description: str) -> Any:
  """Returns a field for positive integers, at least one."""

  def accepts(value: Any) -> bool:
    return (
      isinstance(value, tuple)
      and bool(value)
      and all(_is_int(size) and size > 0 for size in value)
    )

  rule = Rule(accepts, 'a non-empty tuple of positive integers', is_sequence=True)
  return _field(default, description, rule)


def free(default: Any, description: str) -> Any:
  """Returns a field that its class checks, if anybody does."""
  return _field(default, description, None)


def mapping(description: str) -> Any:
  """Returns a field for a mapping, empty if none is given."""
  return dataclasses.field(default_factory=dict, metadata={'help': description})


def check(config: Any) -> None:
  """Checks every field of a dataclass, and makes numpy's scalars Python's own.

  Args:
    config: the instance, from its `__post_init__`; it may be frozen.

  Raises:
    ValueError: naming the first field that is out of range, its value and what is
      allowed.
  """
  for field in dataclasses.fields(config):
    rule = field.metadata.get('rule')
    if rule is None:
      continue
    value = getattr(config, field.name)
    plain = _plain(value, rule.is_sequence)
    if plain is not value:
      object.__setattr__(config, field.name, plain)
    if not ((rule.optional and plain is None) or rule.accepts(plain)):
      raise error(config, field.name, rule.allowed)


def check_rising(config: Any, *names: str) -> None:
  """Checks that no field is below the one that is named before it.

  Args:
    config: the instance of a dataclass.
    *names: of its fields, the smallest first.

  Raises:
    ValueError: naming the field, its value and the one that it must not be below.
  """
  for smaller, larger in itertools.pairwise(names):
    bound = getattr(config, smaller)
    if getattr(config, larger) < bound:
      raise error(config, larger, f'at least {smaller} ({bound})')


def with_numbers(config: Any, numbers: Mapping[str, Any]) -> Any:
  """Returns a copy of a configuration with other numbers, which are not checked.

  Args:
    config: a dataclass; it may be frozen.
    numbers: values by field, such as arrays under a JAX transformation.
  """
  changed = copy.copy(config)
  for name, value in numbers.items():
    object.__setattr__(changed, name, value)
  return changed


def error(config: Any, name: str, allowed: str) -> ValueError:
  """Returns the error that a field's value is, in the words of all configurations."""
  return ValueError(
    f'{type(config).__name__}.{name} is {getattr(config, name)!r}; it must be {allowed}.'
  )


def documented(cls: _Class) -> _Class:
  """Adds the fields' descriptions to a dataclass's docstring, before its Raises."""
  lines = ['Attributes:']
  for field in dataclasses.fields(cls):
    lines += textwrap.wrap(
      f'{field.name}: {field.metadata["help"]}',
      86,
      initial_indent='  ',
      subsequent_indent='    ',
      break_on_hyphens=False,
    )
  attributes = textwrap.indent('\n'.join(lines), '  ')
  before, raises, after = (cls.__doc__ or '').rstrip().partition('\n\n  Raises:')
  cls.__doc__ = f'{before}\n\n{attributes}{raises}{after}\n  '
  return cls


def _field(
  default: Any, description: str, rule: Rule | None, elsewhere: str | None = None
) -> Any:
  metadata = {'help': description, 'rule': rule, 'elsewhere': elsewhere}
  return dataclasses.field(default=default, metadata=metadata)


def _plain(value: Any, is_sequence: bool) -> Any:
  if isinstance(value, np.generic):
    return value.item()
  # JSON and flags bring lists; a tuple keeps the configuration hashable.
  if is_sequence and isinstance(value, (list, tuple)):
    return tuple(_plain(item, False) for item in value)
  return value


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)
