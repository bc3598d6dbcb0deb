"""The two networks of IQ: a policy and a value."""

import dataclasses
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax

from iq_acme import policies
from iq_acme.config import IQConfig
from iq_acme.policies import base
from iq_acme.specs import check_environment_spec


@dataclasses.dataclass(frozen=True)
class ValueNetwork:
  """A state value V(s), as pure functions of its parameters.

  Attributes:
    init: key -> parameters.
    apply: (parameters, observation [B, ...]) -> values [B], in units of return.
  """

  init: Callable[[jax.Array], base.Params]
  apply: Callable[[base.Params, base.Observation], jax.Array]


@dataclasses.dataclass(frozen=True)
class IQNetworks:
  """The networks whose parameters one loss trains together.

  Attributes:
    policy: the policy pi.
    value: the value V.
    environment_spec: the environment that they were made for.
  """

  policy: policies.Policy
  value: ValueNetwork
  environment_spec: Any


def make_networks(environment_spec: Any, config: IQConfig | None = None) -> IQNetworks:
  """Networks of SAC's size and initialisation, Section 6.

  Args:
    environment_spec: an `acme.specs.EnvironmentSpec`.
    config: the policy family and the sizes; the defaults where None.

  Returns:
    The networks for this environment.

  Raises:
    ValueError: where the environment's observations or actions are not supported.
  """
  check_environment_spec(environment_spec)
  config = config or IQConfig()

  @hk.without_apply_rng
  @hk.transform
  def value(observation: base.Observation) -> jax.Array:
    return base.mlp(observation, config, 1).squeeze(-1)

  zeros = base.zeros_observation(environment_spec.observations)
  return IQNetworks(
    policy=policies.make_policy(environment_spec, config),
    value=ValueNetwork(init=lambda key: value.init(key, zeros), apply=value.apply),
    environment_spec=environment_spec,
  )
