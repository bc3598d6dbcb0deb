"""Draws several runs over each other: one line per setting, averaged over seeds.

python -m iq_acme plot --runs='runs/gym_HalfCheetah-v4/*/*' --output=curves.png
"""

import glob
from collections.abc import Sequence

from iq_acme.commands import parsing
from iq_acme.training import plotting

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.multi_string('runs', [], 'Folders of runs, as a pattern; may be repeated.')
_define.string('output', 'curves.png', 'Picture to write.')
_define.string('metric', 'mode_return_mean', 'Column of eval.csv.')


def main(arguments: Sequence[str]) -> None:
  """Draws the runs; a shell that has expanded a pattern leaves folders as arguments."""
  patterns = [*FLAGS.runs, *arguments]
  folders = sorted({folder for pattern in patterns for folder in glob.glob(pattern)})
  if not folders:
    raise parsing.Refusal(f'--runs is {patterns}; there is no such folder.')
  with parsing.refusing(OSError, ValueError):
    plotting.plot_runs(folders, FLAGS.output, FLAGS.metric)
  print(f'{len(folders)} folders: {FLAGS.output}')


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command with its arguments; returns the exit status."""
  return parsing.run(main, FLAGS, __doc__, argv, takes_arguments=True)
