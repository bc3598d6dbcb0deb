"""Policy families: a distribution over actions, as pure functions of parameters.

To add a family, write a module beside these that returns a `Policy`, and name it in
`make_policy` and in `config.POLICY_FAMILIES`, and what its parameters depend on in
`networks.fields_of_networks`.
"""

from typing import Any

from iq_acme.config import IQConfig
from iq_acme.policies.autoregressive import make_autoregressive_policy
from iq_acme.policies.base import Policy
from iq_acme.policies.gaussian import make_gaussian_policy
from iq_acme.policies.multicategorical import make_multicategorical_policy


def make_policy(environment_spec: Any, config: IQConfig) -> Policy:
  """Returns the policy family that a configuration names.

  Args:
    environment_spec: the environment's specs; `check_environment_spec` holds.
    config: names the family and its hyperparameters.

  Returns:
    The family for this environment's observations and actions.
  """
  families = {
    'multicategorical': make_multicategorical_policy,
    'autoregressive': make_autoregressive_policy,
    'gaussian': make_gaussian_policy,
  }
  return families[config.policy_family](environment_spec, config)


__all__ = [
  'Policy',
  'make_autoregressive_policy',
  'make_gaussian_policy',
  'make_multicategorical_policy',
  'make_policy',
]
