"""absl flags from the fields of a configuration, so that no field is named twice."""

import dataclasses
import decimal
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

_Config = TypeVar('_Config')


def define_flags(config_class: type, flag_values: flags.FlagValues) -> None:
  """Defines a flag for every field of a dataclass.

  A flag that is not given is None, and leaves its field to `apply_flags`'s base.

  Args:
    config_class: a dataclass whose fields are numbers, strings, booleans or sequences
      of integers, or None besides. Field metadata may hold a 'help', and words
      'elsewhere' that say what other default holds for which task or algorithm.
    flag_values: where to define them.

  Raises:
    TypeError: if a field is of another type.
  """
  hints = typing.get_type_hints(config_class)
  for field in dataclasses.fields(config_class):
    define = _DEFINERS.get(_without_none(hints[field.name]))
    if define is None:
      raise TypeError(f'No flag for {field.name} of type {hints[field.name]}.')
    text = field.metadata.get('help', field.name.replace('_', ' '))
    define(
      field.name,
      None,
      f'{text} {_default_text(field)}',
      flag_values=flag_values,
    )


def define_integer(
  name: str,
  default: int | None,
  text: str,
  flag_values: flags.FlagValues,
  lower_bound: int | None = None,
) -> None:
  """Defines a flag for an integer, which may be written as 1e6.

  Args:
    name: of the flag.
    default: its value if it is not given.
    text: its help.
    flag_values: where to define it.
    lower_bound: the least value that is taken; None bounds nothing.
  """
  parser = _IntegerParser(lower_bound)
  flags.DEFINE(parser, name, default, text, flag_values, flags.ArgumentSerializer())


def apply_flags(base: _Config, flag_values: flags.FlagValues) -> _Config:
  """Returns a configuration with the flags that were given.

  Args:
    base: a dataclass instance, the values of flags that were not given.
    flag_values: parsed flags, defined by `define_flags`.

  Returns:
    The changed copy.

  Raises:
    ValueError: if the configuration refuses a value.
  """
  given: Mapping[str, Any] = {
    field.name: value
    for field in dataclasses.fields(base)
    if (value := flag_values[field.name].value) is not None
  }
  return dataclasses.replace(
    base, **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
  )


def _default_text(field: dataclasses.Field) -> str:
  default, elsewhere = field.default, field.metadata.get('elsewhere')
  if isinstance(default, tuple):
    default = ','.join(map(str, default))
  shown = 'unset' if default is None else default
  return f'Default: {shown}; {elsewhere}.' if elsewhere else f'Default: {shown}.'


def _without_none(hint: Any) -> Any:
  if isinstance(hint, types.UnionType):
    options = [option for option in hint.__args__ if option is not type(None)]
    return options[0] if len(options) == 1 else hint
  return hint


def _define_integers(
  name: str, default: None, text: str, flag_values: flags.FlagValues
) -> None:
  parser = _IntegersParser()
  flags.DEFINE(
    parser,
    name,
    default,
    f'{text} Separated by commas.',
    flag_values,
    flags.CsvListSerializer(','),
  )


class _IntegerParser(flags.IntegerParser):
  """Parses '1000000', '1_000_000' and '1e6', but no fraction."""

  def convert(self, argument: str | int) -> int:
    try:
      return super().convert(argument)
    except ValueError:
      # Exact, where a float would round large seeds.
      number = _decimal(argument)
      if number is None or number != int(number):
        raise ValueError(f'{argument!r} is not an integer') from None
      return int(number)


def _decimal(argument: str) -> decimal.Decimal | None:
  try:
    number = decimal.Decimal(argument)
  except decimal.InvalidOperation:
    return None
  # int() of more digits than any count has would take forever.
  return number if number.is_finite() and number.adjusted() < 20 else None


class _IntegersParser(flags.ListParser):
  """Parses '256,256'."""

  def parse(self, argument: str | list[int]) -> list[int]:
    return [int(item) for item in super().parse(argument)]


_DEFINERS = {
  float: flags.DEFINE_float,
  int: define_integer,
  str: flags.DEFINE_string,
  bool: flags.DEFINE_boolean,
  Sequence[int]: _define_integers,
  tuple[int, ...]: _define_integers,
}
