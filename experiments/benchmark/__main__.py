"""Runs the wing's command; see `experiments.benchmark.command`."""

import sys

from experiments.benchmark import command
from iq_acme.commands import parsing

if __name__ == '__main__':
  sys.exit(parsing.run(command.main, command.FLAGS, command.__doc__))
