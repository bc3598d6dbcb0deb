"""The agent as a Launchpad program: one learner, many actors, and what they need.

`make_distributed_iq` assembles the program, `launch` runs it on this machine. Nodes that
need neither Reverb nor the networks do not load them, so names are looked up late here.
"""

import importlib
from typing import TYPE_CHECKING, Any

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

if TYPE_CHECKING:
  from iq_acme.distributed.launching import LaunchResult, NodeFailedError, launch
  from iq_acme.distributed.program import make_distributed_iq

_HOME = {
  'LaunchResult': 'launching',
  'NodeFailedError': 'launching',
  'launch': 'launching',
  'make_distributed_iq': 'program',
}

__all__ = ['LaunchResult', 'NodeFailedError', 'launch', 'make_distributed_iq']


def __getattr__(name: str) -> Any:
  if name not in _HOME:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
