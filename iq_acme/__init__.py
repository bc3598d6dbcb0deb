"""IQ: implicitly regularized RL with implicit Q-values, as an agent for Acme.

The core (configuration, networks, losses, update, policies in files, environments)
needs only JAX and its libraries. The Acme half loads TensorFlow, Reverb and Launchpad,
and does so only once one of its names is used.

After `import iq_acme`, dm-acme 0.4.0 loads and runs on today's JAX: see `compat`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from iq_acme.compat import imports

imports.install()

if TYPE_CHECKING:
  from iq_acme.agent.builder import IQBuilder
  from iq_acme.agent.iq import IQ, make_iq_agent
  from iq_acme.agent.learner import IQLearner, NonFiniteLossError
  from iq_acme.agent.local import LocalAgent
  from iq_acme.config import IQConfig, paper_config, tuned_config
  from iq_acme.distributed import launch, make_distributed_iq
  from iq_acme.environments import make_environment
  from iq_acme.networks import IQNetworks, make_networks
  from iq_acme.policy_io import LoadedPolicy, load_policy, save_policy

_HOME = {
  'IQ': 'agent.iq',
  'LocalAgent': 'agent.local',
  'make_iq_agent': 'agent.iq',
  'make_distributed_iq': 'distributed',
  'launch': 'distributed',
  'IQBuilder': 'agent.builder',
  'IQConfig': 'config',
  'paper_config': 'config',
  'tuned_config': 'config',
  'make_environment': 'environments',
  'IQLearner': 'agent.learner',
  'NonFiniteActionError': 'acting',
  'NonFiniteLossError': 'agent.learner',
  'IQNetworks': 'networks',
  'make_networks': 'networks',
  'LoadedPolicy': 'policy_io',
  'load_policy': 'policy_io',
  'save_policy': 'policy_io',
}

__all__ = [
  'IQ',
  'IQBuilder',
  'IQConfig',
  'IQLearner',
  'IQNetworks',
  'LoadedPolicy',
  'LocalAgent',
  'NonFiniteActionError',
  'NonFiniteLossError',
  'launch',
  'load_policy',
  'make_distributed_iq',
  'make_environment',
  'make_iq_agent',
  'make_networks',
  'paper_config',
  'save_policy',
  'tuned_config',
]

__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
  if name not in _HOME:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  home = f'{__name__}.{_HOME[name]}'
  try:
    value = getattr(importlib.import_module(home), name)
  except ModuleNotFoundError as error:
    reason = imports.advice(error) or str(error)
    raise ModuleNotFoundError(f'iq_acme.{name}: {reason}', name=error.name) from error
  except AttributeError as error:  # `from iq_acme import ...` would say nothing of it.
    raise ImportError(f'{home} cannot be imported: {error}') from error
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
