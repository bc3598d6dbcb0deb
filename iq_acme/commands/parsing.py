"""Parsing of a command's own flags, which no other code in the process sees."""

import contextlib
import decimal
import functools
import os
import sys
import types
from collections.abc import Callable, Iterator, Sequence

from absl import flags, logging

from iq_acme.compat import imports
from iq_acme.training import quiet

_REFUSED = 2
_HELP = ('--help', '-help', '-h', '--helpfull', '--helpshort')
# Of absl's own flags, the one that a command passes on.
_VERBOSITY = 'verbosity'
_KINDS = ('boolean', 'enum', 'float', 'list', 'multi_enum', 'multi_string', 'string')


class Refusal(Exception):
  """Input that nothing can be made of, in words."""


@contextlib.contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
  """Makes a `Refusal` of errors of these kinds, which are of the user's making."""
  try:
    yield
  except errors as error:
    raise Refusal(str(error)) from error


def new_flags() -> flags.FlagValues:
  """Returns a place for a command's flags, which are not absl's global ones.

  So two commands, or a command and a script with a flag of the same name, fit in one
  process.
  """
  values = flags.FlagValues()
  values[_VERBOSITY] = flags.FLAGS[_VERBOSITY]
  return values


def definers(values: flags.FlagValues) -> types.SimpleNamespace:
  """Returns absl's DEFINE_string and so on as `string` and so on, for these flags.

  Args:
    values: where they define flags. An `integer` may be written as 1e6.
  """
  kinds = {
    kind: functools.partial(getattr(flags, f'DEFINE_{kind}'), flag_values=values)
    for kind in _KINDS
  }

  def integer(
    name: str, default: int | None, text: str, lower_bound: int | None = None
  ) -> None:
    parser = _IntegerParser(lower_bound)
    flags.DEFINE(parser, name, default, text, values, flags.ArgumentSerializer())

  return types.SimpleNamespace(integer=integer, **kinds)


def run(
  main: Callable[..., int | None],
  values: flags.FlagValues,
  usage: str | None,
  argv: Sequence[str] | None = None,
  *,
  takes_arguments: bool = False,
) -> int:
  """Parses a command line and runs a command.

  Args:
    main: returns the exit status, or None for 0. A `Refusal` is printed in one line.
    values: the command's flags, from `new_flags`.
    usage: what --help says before the flags.
    argv: the arguments; those of this process if None.
    takes_arguments: whether `main` is called with the arguments that are no flags;
      otherwise they are refused.

  Returns:
    The exit status: of `main`, 0 for --help, 2 for what is refused.
  """
  given = list(map(_expand_home, sys.argv[1:] if argv is None else argv))
  with quiet.unbreakable_output():
    if any(argument in _HELP for argument in given):
      print((usage or '').strip(), values.get_help(), sep='\n\n')
      return 0
    values.unparse_flags()
    try:
      rest = values([sys.argv[0], *given])[1:]
      if rest and not takes_arguments:
        raise Refusal(f'Arguments that are no flags: {rest}.')
      if not flags.FLAGS.is_parsed():  # Or absl's logging complains that it came first.
        flags.FLAGS.mark_as_parsed()
      logging.use_absl_handler()
      return (main(rest) if takes_arguments else main()) or 0
    except (flags.Error, Refusal) as error:
      print(error, file=sys.stderr)
    except ModuleNotFoundError as error:
      advice = imports.advice(error)
      if advice is None:
        raise
      print(advice, file=sys.stderr)
    return _REFUSED


def _expand_home(argument: str) -> str:
  """Replaces the ~ of '--name=~/x', which shells leave as it is."""
  name, equals, value = argument.partition('=')
  return f'{name}={os.path.expanduser(value)}' if equals else argument


class _IntegerParser(flags.IntegerParser):
  """Parses '1000000', '1_000_000' and '1e6', but no fraction."""

  def convert(self, argument: str | int) -> int:
    try:
      return super().convert(argument)
    except ValueError:
      # Exact; a float would round large seeds.
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
