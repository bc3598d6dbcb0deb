"""Draws several runs over each other: one line per setting, averaged over seeds.

python experiments/plot.py --runs='runs/gym_HalfCheetah-v4/*/*' --output=curves.png
"""

import glob
import pathlib
import sys
from collections.abc import Sequence

# So that a clone runs without being installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import app, flags

from experiments import plotting

FLAGS = flags.FLAGS

flags.DEFINE_multi_string('runs', [], 'Folders of runs, as a pattern; may be repeated.')
flags.DEFINE_string('output', 'curves.png', 'Picture to write.')
flags.DEFINE_string('metric', 'mode_return_mean', 'Column of eval.csv.')


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


if __name__ == '__main__':
  app.run(main)
