"""Draws several runs over each other: one line per setting, averaged over seeds.

python -m iq_acme plot --runs='runs/gym_HalfCheetah-v4/*/*' --output=curves.png
"""

import glob
import sys
from collections.abc import Sequence

from absl import flags

from iq_acme.commands import parsing
from iq_acme.training import plotting

FLAGS = parsing.new_flags()

flags.DEFINE_multi_string(
  'runs', [], 'Folders of runs, as a pattern; may be repeated.', flag_values=FLAGS
)
flags.DEFINE_string('output', 'curves.png', 'Picture to write.', flag_values=FLAGS)
flags.DEFINE_string(
  'metric', 'mode_return_mean', 'Column of eval.csv.', flag_values=FLAGS
)


def main(argv: Sequence[str]) -> int:
  """Runs the script; returns its exit status."""
  # A shell that has already expanded an unquoted pattern leaves folders as arguments.
  patterns = [*FLAGS.runs, *argv[1:]]
  folders = sorted({folder for pattern in patterns for folder in glob.glob(pattern)})
  try:
    plotting.plot_runs(folders, FLAGS.output, FLAGS.metric)
  except (OSError, ValueError) as error:
    print(error, file=sys.stderr)
    return 2
  print(f'{len(folders)} folders: {FLAGS.output}')
  return 0


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command with its arguments; returns the exit status."""
  return parsing.run(main, FLAGS, __doc__, argv)
