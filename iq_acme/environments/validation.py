"""Checks of what a caller passes in: each names the field, the value and the remedy."""

import difflib
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

# dm_control seeds a numpy RandomState, which takes 32 bits. Gymnasium would take more;
# one range for all suites lets a run change its task and keep its seed.
MAX_SEED = 2**32 - 1


def check_seed(seed: Any) -> int | None:
  """Returns `seed` as a Python int, or None for an unpredictable one.

  Raises:
    ValueError: `seed` is no integer (True and 1.0 are none) or lies outside
      [0, MAX_SEED].
  """
  if seed is None:
    return None
  value = _as_int(seed)
  if value is None or not 0 <= value <= MAX_SEED:
    raise ValueError(
      f'seed must be None or an integer from 0 to {MAX_SEED}, got {seed!r}'
    )
  return value


def check_max_episode_steps(max_episode_steps: Any) -> int:
  """Returns `max_episode_steps` as a Python int.

  Raises:
    ValueError: it is no integer or less than 1.
  """
  value = _as_int(max_episode_steps)
  if value is None or value < 1:
    raise ValueError(
      f'max_episode_steps must be an integer of at least 1, got {max_episode_steps!r}'
    )
  return value


def check_bool(field: str, value: Any) -> bool:
  """Returns `value`, which must be True or False.

  Raises:
    ValueError: it is something else, such as 0 or 'false'.
  """
  if not isinstance(value, (bool, np.bool_)):
    raise ValueError(f'{field} must be True or False, got {value!r}')
  return bool(value)


def check_render_mode(render_mode: Any) -> str | None:
  """Returns `render_mode`, which must be None or 'rgb_array'.

  Raises:
    ValueError: it is something else, such as 'human'.
  """
  if render_mode not in (None, 'rgb_array'):
    raise ValueError(
      f"render_mode must be None or 'rgb_array' (frames for a video), "
      f'got {render_mode!r}'
    )
  return render_mode


def close_matches(word: str, candidates: Iterable[str]) -> str:
  """Returns a parenthesis naming up to five candidates near `word`, or an empty string."""
  by_lower_case = {candidate.lower(): candidate for candidate in candidates}
  matches = difflib.get_close_matches(word.lower(), by_lower_case, n=5, cutoff=0.7)
  if not matches:
    return ''
  return ' (did you mean ' + ' or '.join(repr(by_lower_case[m]) for m in matches) + '?)'


def _as_int(value: Any) -> int | None:
  # A bool is an int to Python, but as a seed or a length it is a slip of the pen.
  if isinstance(value, (bool, np.bool_)):
    return None
  try:
    return operator.index(value)
  except TypeError:
    return None
