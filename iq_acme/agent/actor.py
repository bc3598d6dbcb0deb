"""An actor for a policy of `acting`: one small jitted call per step."""

from typing import Any

import acme
import courier
import dm_env
import jax
import numpy as np
from acme import adders
from acme.jax import variable_utils

from iq_acme import acting
from iq_acme.spec_checks import check_observation_structure


class IQActor(acme.Actor):
  """Acts by a policy, records what it sees, and keeps its variables fresh."""

  def __init__(
    self,
    policy: acting.ActingPolicy,
    environment_spec: Any,
    random_key: jax.Array,
    variable_source: acme.core.VariableSource,
    adder: adders.Adder | None = None,
  ):
    """Creates an actor.

    Args:
      policy: a policy of `acting.make_behavior_policy` or `make_evaluation_policy`.
      environment_spec: an `acme.specs.EnvironmentSpec`.
      random_key: what actions are sampled from.
      variable_source: serves 'policy'. A source in this process is asked at every
        step, which copies nothing; a remote one is asked in the background.
      adder: what transitions are written to; none if None.
    """
    self._cpu = jax.local_devices(backend='cpu')[0]
    self._on_accelerator = jax.default_backend() != 'cpu'
    self._policy = jax.jit(policy)
    self._spec = environment_spec
    self._key = jax.device_put(random_key, self._cpu)
    self._source = variable_source
    self._adder = adder
    self._given: np.ndarray | None = None  # The last action, and a copy of it.
    self._kept: np.ndarray | None = None
    self._copied: Any = (None, None)  # Parameters and normaliser, and both on the CPU.
    self._copies: Any = (None, None)
    self._client: variable_utils.VariableClient | None = None
    if isinstance(variable_source, courier.Client):
      self._client = variable_utils.VariableClient(
        variable_source, 'policy', device=self._cpu
      )

  @property
  def random_key(self) -> jax.Array:
    """The key that the next action is sampled from."""
    return self._key

  @random_key.setter
  def random_key(self, key: jax.Array) -> None:
    self._key = jax.device_put(key, self._cpu)

  def select_action(self, observation: Any) -> np.ndarray:
    action, self._key = self._policy(self._variables(), self._key, observation)
    self._given = acting.to_environment(action, self._spec.actions)
    self._kept = self._given.copy()
    return self._given

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    # Once an episode: no environment changes its structure within one.
    check_observation_structure(timestep.observation, self._spec.observations)
    _check_finite('observation', timestep.observation)
    if self._adder:
      self._adder.add_first(timestep)

  def observe(self, action: np.ndarray, next_timestep: dm_env.TimeStep) -> None:
    # An environment may have written to the array that it was given. Another array is
    # an action of somebody else's, such as a demonstration.
    action = self._kept if action is self._given else np.array(action)
    _check_finite('observation', next_timestep.observation)
    # Environments that return Python floats would not match the table's dtypes.
    reward = _cast('reward', next_timestep.reward, self._spec.rewards.dtype)
    discount = _cast('discount', next_timestep.discount, self._spec.discounts.dtype)
    if self._adder:
      self._adder.add(action, next_timestep._replace(reward=reward, discount=discount))

  def update(self, wait: bool = False) -> None:
    if self._client:
      self._client.update(wait)

  def _variables(self) -> acting.ActingVariables:
    if self._client:
      return self._client.params
    variables = self._source.get_variables(['policy'])[0]
    return self._on_cpu(variables) if self._on_accelerator else variables

  def _on_cpu(self, variables: acting.ActingVariables) -> acting.ActingVariables:
    """Returns the variables on the CPU; those of the last call are not copied again."""
    params, normalizer = variables.params, variables.normalizer
    if params is not self._copied[0] or normalizer is not self._copied[1]:
      self._copied = (params, normalizer)
      self._copies = jax.device_put(self._copied, self._cpu)
    params, normalizer = self._copies
    return variables._replace(params=params, normalizer=normalizer)


class FixedVariables(acme.core.VariableSource):
  """Serves one set of variables, whatever it is asked for.

  Attributes:
    variables: what it serves; may be replaced.
  """

  def __init__(self, variables: acting.ActingVariables | None):
    self.variables = variables

  def get_variables(self, names: list[str]) -> list[Any]:
    return [self.variables for _ in names]


def _check_finite(what: str, value: Any) -> None:
  for leaf in jax.tree.leaves(value):
    if not np.all(np.isfinite(leaf)):
      raise _not_finite(what, leaf)


def _cast(what: str, value: Any, dtype: np.dtype) -> np.ndarray:
  """Returns a reward or discount as replay keeps it: None would be a NaN there."""
  array = np.array(value, dtype)
  if array.shape != ():
    raise ValueError(
      f'The environment returned a {what} of shape {array.shape}, {value}; it must be '
      'one number.'
    )
  if not np.isfinite(array).all():
    given = '' if str(value) == str(array) else f' ({value} as {np.dtype(dtype).name})'
    raise _not_finite(what, f'{array}{given}')
  return array


def _not_finite(what: str, value: Any) -> ValueError:
  return ValueError(
    f'The environment returned a {what} that is not finite: {value}. One such '
    'number would spoil the networks for good; mend the environment or end its '
    'episode before that happens.'
  )
