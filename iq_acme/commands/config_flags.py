"""absl flags from the fields of a configuration, so that no field is named twice."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from iq_acme.commands import parsing

_KINDS = {float: 'float', int: 'integer', str: 'string', bool: 'boolean'}


def define_flags(
  config_class: type,
  flag_values: flags.FlagValues,
  names: Sequence[str] | None = None,
  defaults: Mapping[str, Any] | None = None,
) -> None:
  """Defines flags for the fields of a dataclass.

  Args:
    config_class: a dataclass whose fields are numbers, strings, booleans or sequences
      of integers, or None besides. Field metadata may hold a 'help', and words
      'elsewhere' that say what other default holds for which task or algorithm.
    flag_values: where to define them.
    names: of the fields; None stands for all.
    defaults: values of flags that are not given, if others than the fields' own. If
      None, such a flag is None, and `given` leaves it out.

  Raises:
    TypeError: if a field is of another type.
  """
  define = parsing.definers(flag_values)
  hints = typing.get_type_hints(config_class)
  for field in dataclasses.fields(config_class):
    if names is not None and field.name not in names:
      continue
    hint = _without_none(hints[field.name])
    text = field.metadata.get('help', field.name.replace('_', ' '))
    default = None
    if defaults is None:
      text += f' {_default_text(field)}'
    else:
      default = defaults.get(field.name, field.default)
    if hint in (Sequence[int], tuple[int, ...]):
      parser, serializer = _IntegersParser(), flags.CsvListSerializer(',')
      text += ' Separated by commas.'
      flags.DEFINE(parser, field.name, default, text, flag_values, serializer)
    elif hint in _KINDS:
      getattr(define, _KINDS[hint])(field.name, default, text)
    else:
      raise TypeError(f'No flag for {field.name} of type {hints[field.name]}.')


def given(config_class: type, flag_values: flags.FlagValues) -> dict[str, Any]:
  """Returns the values of a dataclass's flags that have one, by field.

  Args:
    config_class: the dataclass; fields without a flag are left out.
    flag_values: parsed flags, defined by `define_flags`.
  """
  names = [field.name for field in dataclasses.fields(config_class)]
  values = {name: flag_values[name].value for name in names if name in flag_values}
  return {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in values.items()
    if value is not None
  }


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


class _IntegersParser(flags.ListParser):
  """Parses '256,256'."""

  def parse(self, argument: str | list[int]) -> list[int]:
    return [int(item) for item in super().parse(argument)]
