"""The agent as a Launchpad program: one learner, many actors, and what they need.

`make_distributed_iq` assembles the program, `launch` runs it on this machine.
"""

from iq_acme import _acme_compat  # noqa: F401  # Before anything of Acme.

# isort: split
from iq_acme.distributed.launching import LaunchResult, NodeFailedError, launch
from iq_acme.distributed.program import make_distributed_iq

__all__ = ['LaunchResult', 'NodeFailedError', 'launch', 'make_distributed_iq']
