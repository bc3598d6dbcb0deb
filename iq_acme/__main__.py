"""Runs a command: python -m iq_acme train|evaluate|plot|doctor; also `iq-acme`."""

import importlib
import os
import sys
from collections.abc import Sequence

_COMMANDS = {
  'train': ('iq_acme.commands.train', 'Trains an algorithm on one task.'),
  'evaluate': ('iq_acme.commands.evaluate', 'Evaluates a policy, and films it.'),
  'plot': ('iq_acme.commands.plot', 'Draws runs over each other.'),
  'doctor': ('iq_acme.compat.doctor', 'Says what is installed, and whether it loads.'),
}


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command that the first argument names; returns its exit status.

  Args:
    argv: the arguments; those of this process if None.
  """
  name, *arguments = (sys.argv[1:] if argv is None else argv) or ['--help']
  usage = 'usage: python -m iq_acme <command> [--help]\n\n' + '\n'.join(
    f'  {command:10}{what}' for command, (_, what) in _COMMANDS.items()
  )
  if name in ('--help', '-h', 'help'):
    print(usage)
    return 0
  if name not in _COMMANDS:
    print(
      f'There is no command {name!r}; there are {", ".join(_COMMANDS)}.',
      file=sys.stderr,
    )
    return 2
  return importlib.import_module(_COMMANDS[name][0]).run_command(arguments)


def console() -> int:
  """Runs `iq-acme`, which finds modules in the working directory as `python -m` does."""
  sys.path.insert(0, os.getcwd())
  return main()


if __name__ == '__main__':
  sys.exit(main())
