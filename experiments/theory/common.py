"""What the theory studies share.

Each study returns the rows of one CSV file, from which alone its figure is drawn, and
what the rows say about a statement of the paper. Setting as in Vieillard et al.
2020a: Garnet MDPs of 30 states, 4 actions and branching 4, discount 0.9.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from iq_acme import tabular

DISCOUNT = 0.9
Row = dict[str, float | int | str]


class Statement(NamedTuple):
  """A line of the summary: a statement, where it stands, its check, the result."""

  statement: str
  place: str
  check: str
  result: str


class Study(NamedTuple):
  """Rows of a study, in the order of its CSV file, and the statements they bear on."""

  rows: list[Row]
  statements: list[Statement]


def garnets(num_mdps: int, seed: int) -> tabular.FiniteMDP:
  """Draws the Garnet MDPs of all studies here, `[num_mdps]` of them."""
  return tabular.garnet(30, 4, 4, DISCOUNT, num_mdps=num_mdps, seed=seed)


def summary(values: np.ndarray) -> Row:
  """Returns median, 10th and 90th percentile and maximum over MDPs or seeds, `[M]`."""
  low, median, high = np.percentile(values, (10, 50, 90))
  return {'p10': low, 'median': median, 'p90': high, 'max': values.max()}


def log_spaced(num_updates: int, num_points: int) -> Iterable[int]:
  """Returns some updates from 0 to `num_updates` - 1, evenly spaced in log(k + 1)."""
  return sorted({round(x) - 1 for x in np.geomspace(1, num_updates, num_points)})


def loglog_slope(x: np.ndarray, y: np.ndarray) -> float:
  """Returns least-squares exponent p of y ~ x^p."""
  return float(np.polyfit(np.log(x), np.log(y), 1)[0])
