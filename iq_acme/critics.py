"""What an agent expects of the states that an evaluation meets.

The difference between V at an episode's first state and the discounted return that
follows is the over-estimation, which learning curves alone do not show.

Shapes: B batch.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from iq_acme.acting import ActingVariables
from iq_acme.networks import IQNetworks
from iq_acme.normalization import normalize

# Observations are assessed in batches of this size, the last one padded: one program
# serves episodes of any length.
_BATCH_SIZE = 256

# (variables, observations [B, ...]) -> values by name, each [B].
Assess = Callable[[Any, Any], Mapping[str, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Critic:
  """Assesses the states of whole episodes.

  Attributes:
    discount: gamma of the return that `value` estimates.
    variables: what `assess` takes first: parameters of this moment.
    assess: a jitted function that returns at least 'value', in units of return.
  """

  discount: float
  variables: Any
  assess: Assess

  def __call__(self, observations: Sequence[Any]) -> dict[str, np.ndarray]:
    """Assesses observations.

    Args:
      observations: T observations, not batched, at least one.

    Returns:
      The values that `assess` names, each [T].
    """
    parts = []
    for start in range(0, len(observations), _BATCH_SIZE):
      part = list(observations[start : start + _BATCH_SIZE])
      padding = [part[-1]] * (_BATCH_SIZE - len(part))
      batch = jax.tree.map(lambda *x: np.stack(x), *part, *padding)
      values = jax.device_get(self.assess(self.variables, batch))
      parts.append({name: x[: len(part)] for name, x in values.items()})
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def make_assess(networks: IQNetworks) -> Assess:
  """Returns what IQ's networks say of states: V, and the policy's entropy.

  Args:
    networks: the networks.

  Returns:
    A jitted function of ((acting variables, the value's parameters), observations)
    that returns 'value' and 'policy_entropy_per_dim', in nats, or whichever entropy
    the policy family names.
  """
  policy = networks.policy
  num_dimensions = math.prod(networks.environment_spec.actions.shape)

  @jax.jit
  def assess(
    variables: tuple[ActingVariables, Any], observations: Any
  ) -> dict[str, jax.Array]:
    acting_variables, value_params = variables
    normalized = normalize(observations, acting_variables.normalizer)
    # Only the mode's episodes are assessed, so that this is the action taken.
    action = policy.mode(acting_variables.params, normalized)
    entropy = policy.entropy(acting_variables.params, normalized, action)
    value = networks.state_value(acting_variables.params, value_params, normalized)
    return {
      'value': value,
      f'{policy.entropy_name}_per_dim': entropy / num_dimensions,
    }

  return assess
