"""Flags of the task and its options."""

import ast
import json
from collections.abc import Sequence
from typing import Any

from absl import flags

_FLAGS_OF_THEIR_OWN = {'name': 'env_name', 'seed': 'seed'}


def define_options(values: flags.FlagValues) -> None:
  """Defines --env_option."""
  flags.DEFINE_multi_string(
    'env_option',
    [],
    'Option of the environment, name=value; may be repeated.',
    flag_values=values,
  )


def parse_options(options: Sequence[str]) -> dict[str, Any]:
  """Returns options by name, from 'name=value' with a Python literal or a word.

  Args:
    options: such as ['original_reward_sign=False'].

  Returns:
    What JSON holds, as the files of the run will give it back: a tuple is a list.

  Raises:
    ValueError: if one has no '=', names what has a flag of its own, or has a value that
      a run's files cannot hold.
  """
  parsed = {}
  for option in options:
    name, equals, value = option.partition('=')
    if not (name and equals):
      raise ValueError(f'--env_option={option!r} is not of the form name=value.')
    if name in _FLAGS_OF_THEIR_OWN:
      raise ValueError(f'--env_option={option!r}: say --{_FLAGS_OF_THEIR_OWN[name]}.')
    try:
      parsed[name] = ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
      parsed[name] = value
    try:
      parsed[name] = json.loads(json.dumps(parsed[name]))
    except TypeError:
      raise ValueError(
        f'--env_option={option!r} must be a number, a word, True, False, None, or a '
        'list or dict of such.'
      ) from None
  return parsed
