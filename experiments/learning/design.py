"""The screen of the learning study as data: a two-level fractional factorial.

2^(7-3) runs of resolution IV, I = ABCE = BCDF = ACDG: no main effect is aliased with
another or with a two-factor interaction, which are aliased with each other. See Box,
Hunter and Hunter, "Statistics for Experimenters", Chapter 6.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

# A second screen, of the same rows: its runs take a fifth of the time.
SMALL = {'hidden_layer_sizes': (64, 64), 'batch_size': 64}
# Q is the output of one network, V its soft value.
ONE_NETWORK = {'separate_value': False, 'scale_logits_by_temperature': True}
# Two of them, whose mean makes the one policy.
ENSEMBLE = {**ONE_NETWORK, 'num_q_networks': 2}
TASKS = ('gym:HalfCheetah-v4', 'gym:Walker2d-v4')
NUM_STEPS = 200_000


@dataclasses.dataclass(frozen=True)
class Factor:
  """A setting that is tried at today's level and at another.

  Attributes:
    letter: its name in the generators.
    title: for tables and figures.
    field: of `IQConfig`.
    other: the value of the other level by task; today's is the paper's for the task.
  """

  letter: str
  title: str
  field: str
  other: Mapping[str, Any]


def _alike(value: Any) -> dict[str, Any]:
  return dict.fromkeys(TASKS, value)


# Today's level first in each title. Of the two bounds, the probe showed that the one on
# the advantage removes the divergence and the one on the Munchausen term does not.
FACTORS = (
  Factor(
    'A',
    'policy step ratio: 1, 0.1',
    'policy_learning_rate',
    # Of the rate of each task.
    {'gym:HalfCheetah-v4': 3e-5, 'gym:Walker2d-v4': 1e-5},
  ),
  Factor('B', 'observations: raw, normalised', 'normalize_observations', _alike(True)),
  Factor('C', 'pairs: 1, 2', 'num_pairs', _alike(2)),
  Factor('D', 'advantage bound: none, 10', 'advantage_bound', _alike(10.0)),
  Factor('E', 'replay: 1M, 100k', 'max_replay_size', _alike(100_000)),
  Factor('F', 'action values: 11, 5', 'num_action_values', _alike(5)),
  Factor('G', 'coefficient: 0.9, 0.5', 'munchausen_coefficient', _alike(0.5)),
)
BASIC = 'ABCD'
GENERATORS = {'E': 'ABC', 'F': 'BCD', 'G': 'ACD'}


def signs() -> tuple[dict[str, int], ...]:
  """Lists the runs: -1 is today's level, +1 the other, by the factor's letter.

  Run 0 has A to D at their other level, run 15 all factors at today's: no other plan
  has a run of today's settings with seed 15.
  """
  runs = []
  for levels in itertools.product((1, -1), repeat=len(BASIC)):
    run = dict(zip(BASIC, levels))
    for letter, word in GENERATORS.items():
      run[letter] = math.prod(run[other] for other in word)
    runs.append(run)
  return tuple(runs)


def overrides(task: str, run: Mapping[str, int]) -> dict[str, Any]:
  """Returns what a run of `signs` changes on a task, by field of the configuration."""
  return {
    factor.field: factor.other[task] for factor in FACTORS if run[factor.letter] > 0
  }


def contrasts() -> dict[str, tuple[str, ...]]:
  """Lists the 15 contrasts that 16 runs can tell apart, and what is aliased in each.

  Returns:
    By a name such as 'A' or 'AB', all effects of up to two factors that the contrast
    is the sum of; or of three, if there is none of fewer. Main effects come first.
  """
  letters = [factor.letter for factor in FACTORS]
  found: dict[tuple[int, ...], list[str]] = {}
  for size in (1, 2, 3):
    for word in map(''.join, itertools.combinations(letters, size)):
      column = tuple(math.prod(run[letter] for letter in word) for run in signs())
      known = found.setdefault(column, [])
      if not known or len(known[0]) == size:
        known.append(word)
  return {words[0]: tuple(words) for words in found.values()}
