"""A trained policy in one file that needs neither Acme, Reverb nor TensorFlow."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from dm_env import specs as dm_env_specs

from iq_acme import acting
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks, check_made_from, make_networks
from iq_acme.normalization import init_statistics
from iq_acme.spec_checks import check_observation_structure
from iq_acme.storage import serialization

_FORMAT = 'iq_acme policy'
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
  """The specs that a policy was trained on.

  Attributes:
    observations: a nest of dm_env specs.
    actions: a bounded spec of an action vector [D].
  """

  observations: Any
  actions: dm_env_specs.BoundedArray


class LoadedPolicy:
  """A trained policy as a function of observations.

  Attributes:
    config: the configuration it was trained with.
    environment_spec: the observations it takes and the actions it gives.
    metadata: whatever was saved beside it, such as the environment's name.
    variables: parameters and normaliser.
  """

  def __init__(
    self,
    networks: IQNetworks,
    variables: acting.ActingVariables,
    config: IQConfig,
    metadata: Mapping[str, Any],
  ):
    self.config = config
    self.environment_spec = networks.environment_spec
    self.metadata = dict(metadata)
    self.variables = variables
    self._act = {
      deterministic: jax.jit(policy)
      for deterministic, policy in acting.make_evaluation_policies(networks).items()
    }
    self.seed(0)

  def seed(self, seed: int) -> None:
    """Restarts the stream of sampled actions."""
    self._key = jax.random.PRNGKey(seed)

  def __call__(self, observation: Any, deterministic: bool = True) -> np.ndarray:
    """An action for one observation.

    Args:
      observation: an observation of the environment, not batched.
      deterministic: whether to take the policy's mode, or to sample.

    Returns:
      An action [D] of the action spec's dtype and within its bounds.

    Raises:
      ValueError: where the observation has another structure, shape, or NaNs.
    """
    self._check(observation)
    action, self._key = self._act[deterministic](self.variables, self._key, observation)
    return acting.to_environment(action, self.environment_spec.actions)

  def _check(self, observation: Any) -> None:
    spec = self.environment_spec.observations
    check_observation_structure(observation, spec)
    for array, leaf in zip(jax.tree.leaves(observation), jax.tree.leaves(spec)):
      if np.shape(array) != leaf.shape:
        raise ValueError(
          f'The observation has shape {np.shape(array)}; this policy takes '
          f'{leaf.shape}.'
        )
      if not np.all(np.isfinite(array)):
        raise ValueError('The observation has elements that are NaN or infinite.')


def save_policy(
  path: str,
  variables: acting.ActingVariables,
  environment_spec: Any,
  config: IQConfig,
  metadata: Mapping[str, Any] | None = None,
) -> None:
  """Writes a policy to one npz file, whole or not at all, without pickle.

  Args:
    path: the file to write or replace.
    variables: parameters and normaliser, such as a learner's
      `get_variables(['policy'])[0]`.
    environment_spec: the specs that the networks were made for.
    config: the configuration that the networks were made from.
    metadata: anything JSON can hold.

  Raises:
    NonFiniteActionError: where the policy has numbers that are NaN or infinite; the file
      stays what it was.
  """
  tree = jax.device_get((variables.params, variables.normalizer))
  if bad := _first_not_finite(tree):
    raise acting.NonFiniteActionError(
      f'The policy has numbers that are not finite ({bad}): learning has diverged, and '
      f'{path} was not written. The last checkpoint is from before that; try a lower '
      'learning_rate.'
    )
  header = {
    'format': _FORMAT,
    'version': _VERSION,
    'config': dataclasses.asdict(config),
    'observations': _encode_spec(environment_spec.observations),
    'actions': _encode_spec(environment_spec.actions),
    'metadata': dict(metadata or {}),
  }
  serialization.save_tree(path, tree, header)


def load_policy(path: str, networks: IQNetworks | None = None) -> LoadedPolicy:
  """Reads a policy that `save_policy` wrote.

  Args:
    path: the file.
    networks: the networks it is for; needed only where they were not made by
      `make_networks`, or where observations are NamedTuples, whose class a file cannot
      hold.

  Returns:
    A callable: `policy(observation, deterministic=True)` gives an action.

  Raises:
    FileNotFoundError: where there is no such file.
    CorruptFileError: where the file is damaged or something else.
    ValueError: where the parameters do not fit the networks or are not finite, or
      networks are needed.
  """
  header = serialization.load_header(path)
  if header.get('format') != _FORMAT:
    raise serialization.CorruptFileError(
      f'{path} is not a policy of this package: use a file that save_policy wrote.'
    )
  if header['version'] > _VERSION:
    raise ValueError(
      f'{path} has format version {header["version"]}; this package reads up to '
      f'{_VERSION}: upgrade it.'
    )
  unknown = set(header['config']) - {f.name for f in dataclasses.fields(IQConfig)}
  if unknown:
    raise ValueError(
      f'{path} has hyperparameters that this package does not know: '
      f'{sorted(unknown)}; a newer package wrote it: upgrade this one.'
    )
  config = IQConfig(**header['config'])
  if networks is None:
    networks = make_networks(_decode_specs(path, header), config)
  check_made_from(networks, config, initialised=True)
  normalizer = None
  if config.normalize_observations:
    normalizer = init_statistics(networks.environment_spec.observations)
  like = (networks.policy.init(jax.random.PRNGKey(0)), normalizer)
  params, normalizer = serialization.load_tree(path, like)
  if bad := _first_not_finite((params, normalizer)):
    raise ValueError(
      f'{path} has numbers that are not finite ({bad}): learning had diverged when it '
      'was written. Use an earlier policy.'
    )
  variables = acting.ActingVariables(params, normalizer, exploring=False)
  return LoadedPolicy(networks, jax.device_put(variables), config, header['metadata'])


def _first_not_finite(tree: Any) -> str | None:
  """The first number of a nest that is NaN or infinite, None where there is none."""
  for leaf in map(np.asarray, jax.tree.leaves(tree)):
    if not np.all(np.isfinite(leaf)):
      return str(leaf[~np.isfinite(leaf)].flat[0])
  return None


def _encode_spec(spec: Any) -> Any:
  """A nest of specs as something JSON can hold, exactly."""
  if isinstance(spec, Mapping):
    # JAX sorts the keys of a dict but keeps an OrderedDict's order, and the networks'
    # inputs are concatenated in that order.
    return {
      'mapping': {name: _encode_spec(leaf) for name, leaf in spec.items()},
      'ordered': isinstance(spec, collections.OrderedDict),
    }
  if isinstance(spec, (list, tuple)):
    encoded = {
      'sequence': [_encode_spec(leaf) for leaf in spec],
      'tuple': isinstance(spec, tuple),
    }
    if hasattr(spec, '_fields'):
      encoded['named_tuple'] = type(spec).__name__
    return encoded
  encoded = {'shape': list(spec.shape), 'dtype': np.dtype(spec.dtype).name}
  if isinstance(spec, dm_env_specs.BoundedArray):
    encoded['minimum'] = np.broadcast_to(spec.minimum, spec.shape).tolist()
    encoded['maximum'] = np.broadcast_to(spec.maximum, spec.shape).tolist()
  return encoded | {'name': spec.name}


def _decode_specs(path: str, header: Mapping[str, Any]) -> EnvironmentSpec:
  """The specs of a policy file's header."""
  try:
    return EnvironmentSpec(
      _decode_spec(header['observations']), _decode_spec(header['actions'])
    )
  except _NamedTupleError as error:
    raise ValueError(
      f'{path} is a policy of observations with a NamedTuple, {error}, whose class a '
      'file cannot hold. Give load_policy networks=make_networks(env_spec, config), '
      'with the spec of the environment that it was trained on.'
    ) from None


class _NamedTupleError(Exception):
  """A spec cannot be decoded without the class of its NamedTuple."""


def _decode_spec(encoded: Mapping[str, Any]) -> Any:
  if 'mapping' in encoded:
    leaves = {name: _decode_spec(leaf) for name, leaf in encoded['mapping'].items()}
    return collections.OrderedDict(leaves) if encoded['ordered'] else leaves
  if 'named_tuple' in encoded:
    raise _NamedTupleError(encoded['named_tuple'])
  if 'sequence' in encoded:
    leaves = [_decode_spec(leaf) for leaf in encoded['sequence']]
    return tuple(leaves) if encoded['tuple'] else leaves
  arguments = {
    'shape': tuple(encoded['shape']),
    'dtype': encoded['dtype'],
    'name': encoded['name'],
  }
  if 'minimum' in encoded:
    return dm_env_specs.BoundedArray(
      minimum=encoded['minimum'], maximum=encoded['maximum'], **arguments
    )
  return dm_env_specs.Array(**arguments)
