"""Checks every statement of the paper's analysis and draws the figures behind it.

    python -m experiments.theory

writes, under `experiments/results/theory/`, one CSV file per study, one figure per
statement, and `statements.md`: the statement, its place in the paper, how it was
checked, and the result. It takes about two minutes of CPU time.
"""

import pathlib
import time
from collections.abc import Callable, Sequence

from experiments.theory import bridge as theory_bridge
from experiments.theory import factorisation as theory_factorisation
from experiments.theory import figures as theory_figures
from experiments.theory import limits
from experiments.theory import studies as theory_studies
from experiments.theory.common import Statement, Study
from iq_acme.commands import parsing
from iq_acme.training import metrics_files, quiet

STUDIES: dict[str, Callable[[], Study]] = {
  'equivalence': theory_studies.equivalence,
  'zero_temperature': limits.zero_temperature,
  'convergence': limits.convergence,
  'bounds': theory_studies.bounds,
  'averaging': theory_studies.averaging,
  'worst_gap': theory_studies.worst_gap,
  'dueling': limits.dueling,
  'factorisation': theory_factorisation.factorisation,
  'bridge': theory_bridge.bridge,
}

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string(
  'output_dir', 'experiments/results/theory', 'Folder to write tables and figures to.'
)
_define.multi_enum(
  'figure', [], list(theory_figures.FIGURES), 'Only this figure; may be repeated.'
)


def main() -> None:
  """Runs the studies, then writes their tables and figures."""
  quiet.quiet_logs()
  output_dir = pathlib.Path(FLAGS.output_dir)
  output_dir.mkdir(parents=True, exist_ok=True)
  figures = FLAGS.figure or list(theory_figures.FIGURES)
  wanted = {name for figure in figures for name in theory_figures.FIGURES[figure][1]}
  studies = {}
  for name in (name for name in STUDIES if name in wanted):
    start = time.time()
    studies[name] = STUDIES[name]()
    print(f'{name}: {time.time() - start:.0f} s', flush=True)
    path = str(output_dir / f'{name}.csv')
    metrics_files.write_rows(path, studies[name].rows, digits=6)
  for figure in figures:
    draw, sources = theory_figures.FIGURES[figure]
    picture = draw(*(studies[name].rows for name in sources))
    picture.savefig(output_dir / f'{figure}.png', dpi=110)
  if not FLAGS.figure:  # A part of the table would replace the whole one.
    statements = [line for study in studies.values() for line in study.statements]
    write_statements(output_dir / 'statements.md', statements)
  print(f'Written to {output_dir}.')


def write_statements(path: pathlib.Path, statements: Sequence[Statement]) -> None:
  """Writes the Markdown table of statements."""
  lines = [
    '# The statements of the analysis, checked',
    '',
    'Written by `python -m experiments.theory`. What the text was read as where it',
    'slips is listed in `iq_acme/tabular/__init__.py`; derivations of the explicit',
    'remainders are in `iq_acme/tabular/error_propagation.py`. Distances are in the',
    'unit of rewards, which lie in [-1, 1]; the discount is 0.9.',
    '',
    '| statement | where in the paper | checked how | result |',
    '|---|---|---|---|',
  ]
  for statement in statements:
    # A bar within a cell, as in KL(p || q), would end it.
    cells = [cell.replace('|', '\\|') for cell in statement]
    lines.append(f'| {" | ".join(cells)} |')
  path.write_text('\n'.join(lines) + '\n')
