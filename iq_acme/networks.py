"""The two networks of IQ: a policy and a value."""

import dataclasses
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax

from iq_acme import policies
from iq_acme.config import IQConfig
from iq_acme.policies import base
from iq_acme.spec_checks import check_environment_spec


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
    value: the value V; None if V is the policy's `soft_value`.
    environment_spec: the environment that they were made for.
    config: the configuration that they were made from; None for networks that depend on
      none.
  """

  policy: policies.Policy
  value: ValueNetwork | None
  environment_spec: Any
  config: IQConfig | None = None

  def init(self, policy_key: jax.Array, value_key: jax.Array) -> tuple[Any, Any]:
    """Returns first parameters of the policy and of the value."""
    value_params = {} if self.value is None else self.value.init(value_key)
    return self.policy.init(policy_key), value_params

  def state_value(
    self,
    policy_params: base.Params,
    value_params: base.Params,
    observation: base.Observation,
  ) -> jax.Array:
    """Returns V(s), [B] in units of return."""
    if self.value is None:
      return self.policy.soft_value(policy_params, observation)
    return self.value.apply(value_params, observation)

  @property
  def member(self) -> 'IQNetworks':
    """The networks of one that learns by itself: of an ensemble's elements, or these."""
    return dataclasses.replace(self, policy=self.policy.member or self.policy)

  def members(self, policy_params: Any) -> tuple[Any, ...]:
    """Returns the policy's parameters of each that learns by itself, for `member`."""
    return (policy_params,) if self.policy.member is None else policy_params


def make_networks(environment_spec: Any, config: IQConfig | None = None) -> IQNetworks:
  """Networks of SAC's size and initialisation, Section 6.

  Args:
    environment_spec: an `acme.specs.EnvironmentSpec`.
    config: the policy family and the sizes; the defaults if None.

  Returns:
    The networks for this environment.

  Raises:
    ValueError: if the environment's observations or actions are not supported.
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
    value=ValueNetwork(lambda key: value.init(key, zeros), value.apply)
    if config.separate_value
    else None,
    environment_spec=environment_spec,
    config=config,
  )


def check_made_from(
  networks: IQNetworks, config: IQConfig, initialised: bool = False
) -> None:
  """Raises if networks were made from another configuration than they are used with.

  Their parameters would be saved, and later loaded, as those of another policy.

  Args:
    networks: the networks.
    config: the configuration that they are used with.
    initialised: whether parameters are there already, so that a field which only their
      first values depend on may differ.

  Raises:
    ValueError: naming the first field that differs and both its values.
  """
  if networks.config is None:
    return
  names = fields_of_networks(config)
  if not initialised:
    names += ['output_init_scale', 'separate_value']
  for name in names:
    made_from, used_with = getattr(networks.config, name), getattr(config, name)
    if made_from != used_with:
      raise ValueError(
        f'The networks were made from IQConfig.{name} {made_from!r} and are used with '
        f'{used_with!r}: make both with one configuration.'
      )


def fields_of_networks(config: IQConfig) -> list[str]:
  """Returns the fields that networks depend on once they have parameters."""
  names = ['policy_family', 'hidden_layer_sizes']
  if config.target_entropy_per_dim is not None:
    names += ['target_entropy_per_dim']
  if config.policy_family != 'gaussian':
    names += ['num_action_values', 'scale_logits_by_temperature', 'num_q_networks']
    if config.scale_logits_by_temperature:
      names += ['temperature']
  return names
