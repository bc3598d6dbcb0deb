"""Policy families: a distribution over actions, as pure functions of parameters.

To add a family, write a module beside these that returns a `Policy`, and name it in
`make_policy` and in `config.POLICY_FAMILIES`, and what its parameters depend on in
`networks.fields_of_networks`.
"""

import math
from typing import Any

from iq_acme.config import IQConfig
from iq_acme.policies.autoregressive import make_autoregressive_policy
from iq_acme.policies.base import Policy
from iq_acme.policies.ensemble import make_ensemble_policy
from iq_acme.policies.gaussian import make_gaussian_policy
from iq_acme.policies.grid import count_values
from iq_acme.policies.multicategorical import make_multicategorical_policy
from iq_acme.spec_checks import check_continuous


def make_policy(environment_spec: Any, config: IQConfig) -> Policy:
  """Returns the policy family that a configuration names.

  Args:
    environment_spec: the environment's specs; `check_environment_spec` holds.
    config: names the family and its hyperparameters.

  Returns:
    The family for this environment's observations and actions.

  Raises:
    ValueError: if the family is not for such actions.
  """
  check_family(environment_spec, config)
  if config.num_q_networks > 1:  # Of the multicategorical family.
    return make_ensemble_policy(environment_spec, config)
  families = {
    'multicategorical': make_multicategorical_policy,
    'autoregressive': make_autoregressive_policy,
    'gaussian': make_gaussian_policy,
  }
  return families[config.policy_family](environment_spec, config)


def check_family(environment_spec: Any, config: IQConfig) -> None:
  """Raises if a policy family is not for an environment's actions.

  Args:
    environment_spec: the environment's specs; `check_environment_spec` holds.
    config: names the family.

  Raises:
    ValueError: naming both.
  """
  if config.policy_family == 'gaussian':
    check_continuous(environment_spec.actions, "IQConfig.policy_family 'gaussian'")


def count_outputs(environment_spec: Any, config: IQConfig) -> int:
  """Returns how many outputs the policy's network has at least, without making it."""
  num_dimensions = math.prod(environment_spec.actions.shape)
  if config.policy_family == 'gaussian':
    return num_dimensions
  return num_dimensions * int(count_values(environment_spec.actions, config).max())


__all__ = [
  'Policy',
  'check_family',
  'count_outputs',
  'make_autoregressive_policy',
  'make_ensemble_policy',
  'make_gaussian_policy',
  'make_multicategorical_policy',
  'make_policy',
]
