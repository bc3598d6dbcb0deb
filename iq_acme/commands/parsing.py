"""Parsing of a command's own flags, which no other code in the process sees."""

import os
import sys
from collections.abc import Callable, Sequence

from absl import flags, logging

from iq_acme.training import quiet

_REFUSED = 2
_HELP = ('--help', '-help', '-h', '--helpfull', '--helpshort')
# Of absl's own flags, the one that a command passes on.
_VERBOSITY = 'verbosity'


def new_flags() -> flags.FlagValues:
  """Returns a place for a command's flags, which are not absl's global ones.

  So two commands, or a command and a script with a flag of the same name, fit in one
  process.
  """
  values = flags.FlagValues()
  values[_VERBOSITY] = flags.FLAGS[_VERBOSITY]
  return values


def run(
  main: Callable[[Sequence[str]], int | None],
  values: flags.FlagValues,
  usage: str | None,
  argv: Sequence[str] | None = None,
) -> int:
  """Parses a command line and runs a command.

  Args:
    main: takes the program's name and the arguments that are no flags; returns the exit
      status, or None for 0.
    values: the command's flags, from `new_flags`.
    usage: what --help says before the flags.
    argv: the arguments; those of this process if None.

  Returns:
    The exit status: of `main`, 0 for --help, 2 for flags that cannot be parsed.
  """
  with quiet.unbreakable_output():
    return _run(main, values, usage, argv)


def _run(
  main: Callable[[Sequence[str]], int | None],
  values: flags.FlagValues,
  usage: str | None,
  argv: Sequence[str] | None,
) -> int:
  arguments = list(map(_expand_home, sys.argv[1:] if argv is None else argv))
  if any(argument in _HELP for argument in arguments):
    print((usage or '').strip(), values.get_help(), sep='\n\n')
    return 0
  values.unparse_flags()
  try:
    rest = values([sys.argv[0], *arguments])
  except flags.Error as error:
    print(error, file=sys.stderr)
    return _REFUSED
  if not flags.FLAGS.is_parsed():  # Or absl's logging complains that it came first.
    flags.FLAGS.mark_as_parsed()
  logging.use_absl_handler()
  return main(rest) or 0


def _expand_home(argument: str) -> str:
  """Replaces the ~ of '--name=~/x', which shells leave as it is."""
  name, equals, value = argument.partition('=')
  return f'{name}={os.path.expanduser(value)}' if equals else argument
