"""The agent as a Launchpad program: one learner, many actors, and what they need.

`make_distributed_iq` assembles the program, `launch` runs it on this machine. Nodes that
need neither Reverb nor the networks do not load them, so names are looked up late here.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from iq_acme.distributed.program import make_distributed_iq
  from iq_acme.distributed.settings import ProgramSettings
  from iq_acme.supervisor.launching import LaunchResult, NodeFailedError, launch

_HOME = {
  'LaunchResult': 'iq_acme.supervisor.launching',
  'NodeFailedError': 'iq_acme.supervisor.launching',
  'ProgramSettings': 'iq_acme.distributed.settings',
  'launch': 'iq_acme.supervisor.launching',
  'make_distributed_iq': 'iq_acme.distributed.program',
}

__all__ = [
  'LaunchResult',
  'NodeFailedError',
  'ProgramSettings',
  'launch',
  'make_distributed_iq',
]


def __getattr__(name: str) -> Any:
  if name not in _HOME:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(_HOME[name]), name)
