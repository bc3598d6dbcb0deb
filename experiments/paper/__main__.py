"""Runs the wing's command; see `experiments.paper.command`."""

import sys

from experiments.paper import command
from iq_acme.commands import parsing

if __name__ == '__main__':
  sys.exit(
    parsing.run(command.main, command.FLAGS, command.__doc__, takes_arguments=True)
  )
