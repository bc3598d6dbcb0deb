"""What differs between the settings of a run that is there and of one that is wanted."""

import json
from collections.abc import Mapping
from typing import Any

_MISSING = object()


def list_differences(
  recorded: Mapping[str, Any],
  wanted: Mapping[str, Any],
  defaults: Mapping[str, Any] = {},
) -> list[str]:
  """Lists, in words, the settings that differ.

  Args:
    recorded: nested dicts of JSON values, as a run's folder has them.
    wanted: the same of today. Its `num_steps` may be larger: that is the same run.
    defaults: what stood for settings before they could be recorded.

  Returns:
    A line for each, such as 'agent.temperature: 0.01 there, 0.1 here', by name.
  """
  old, new = _flatten(recorded), _flatten(wanted)
  old = {**{k: v for k, v in _flatten(defaults).items() if k in new}, **old}
  lines = []
  for name in sorted(old.keys() | new.keys()):
    before, now = old.get(name, _MISSING), new.get(name, _MISSING)
    if name == 'num_steps' and isinstance(before, int) and isinstance(now, int):
      if now < before:
        lines.append(f'{name}: {before} there, {now} here (it can only grow)')
    elif before != now:
      lines.append(f'{name}: {_show(before)} there, {_show(now)} here')
  return lines


def _flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  flat = {}
  for name, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(_flatten(value, f'{prefix}{name}.'))
    else:
      flat[prefix + name] = value
  return flat


def _show(value: Any) -> str:
  return 'absent' if value is _MISSING else json.dumps(value)
