"""Effects of the screen's settings, with intervals; no run is read here."""

import dataclasses

import numpy as np
import scipy.stats

from experiments.learning import design

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Screen:
  """What the runs came to, by task and row of the design.

  Attributes:
    tasks: those whose 16 runs are whole.
    scores: means over training of the mode's return [tasks, 16].
    overestimation: at the end, as a fraction of the discounted return [tasks, 16].
    folders: of the runs, by task, then row.
  """

  tasks: tuple[str, ...]
  scores: np.ndarray
  overestimation: np.ndarray
  folders: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Effect:
  """A contrast of the design: what it does at its other level.

  Attributes:
    name: letters, such as 'A' or 'AB'.
    aliases: all effects that the contrast is the sum of.
    score: its effect on the standardised score, in standard deviations.
    margin: half its 95% interval.
    returns: its effect on the mean return of each task [tasks].
    return_margins: half their intervals [tasks].
    overestimation: medians at today's level and the other.
    is_adopted: whether the rule takes the other level; only a main effect has one, and
      it is taken only if the screen has all tasks.
  """

  name: str
  aliases: tuple[str, ...]
  score: float
  margin: float
  returns: np.ndarray
  return_margins: np.ndarray
  overestimation: tuple[float, float]
  is_adopted: bool


def analyse(screen: Screen) -> list[Effect]:
  """Estimates all 15 contrasts, main effects first."""
  contrasts = design.contrasts()
  columns = np.array([_column(name) for name in contrasts])  # [15, 16]
  half = columns.shape[1] / 2
  center = screen.scores.mean(axis=1, keepdims=True)
  spread = screen.scores.std(axis=1, ddof=1, keepdims=True)
  standardised = ((screen.scores - center) / spread).mean(axis=0)  # [16]
  effects = columns @ standardised / half  # [15]
  returns = columns @ screen.scores.T / half  # [15, tasks]
  margin = lenth_margin(effects)
  return_margins = np.array([lenth_margin(one) for one in returns.T])

  def effect(i: int, name: str, aliases: tuple[str, ...]) -> Effect:
    today, other = (
      float(np.median(screen.overestimation[:, columns[i] == s])) for s in (-1, 1)
    )
    return Effect(
      name,
      aliases,
      float(effects[i]),
      margin,
      returns[i],
      return_margins,
      (today, other),
      is_adopted=screen.tasks == design.TASKS
      and len(name) == 1
      and effects[i] - margin > 0
      and other <= today,
    )

  return [effect(i, *contrast) for i, contrast in enumerate(contrasts.items())]


def lenth_margin(effects: np.ndarray) -> float:
  """Returns half the 95% interval of each of several effects, most of them chance.

  With s0 = 1.5 median |effect|, the pseudo standard error is 1.5 times the median of
  those below 2.5 s0; the margin is that times Student's quantile with m / 3 degrees of
  freedom. See Lenth (1989), https://doi.org/10.1080/00401706.1989.10488595.

  Args:
    effects: m independent effects of equal variance [m].
  """
  sizes = np.abs(effects)
  error = 1.5 * np.median(sizes[sizes <= 2.5 * 1.5 * np.median(sizes)])
  quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(effects) / 3)
  return float(quantile * error)


def _column(name: str) -> list[int]:
  """Returns the signs of a contrast, by row of the design."""
  return [int(np.prod([run[letter] for letter in name])) for run in design.signs()]
