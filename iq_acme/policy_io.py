"""A trained policy in one file that needs neither Acme, Reverb nor TensorFlow."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from iq_acme import acting, policies, spec_json
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks, check_made_from, make_networks
from iq_acme.normalization import init_statistics
from iq_acme.spec_checks import EnvironmentSpec, check_observation_structure
from iq_acme.storage import serialization

_FORMAT = 'iq_acme policy'
_VERSION = 1


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
    """Returns an action for one observation.

    Args:
      observation: an observation of the environment, not batched.
      deterministic: whether to take the policy's mode, or to sample.

    Returns:
      An action of the action spec's shape and dtype and within its bounds.

    Raises:
      ValueError: if the observation has another structure, shape, or NaNs.
    """
    self._check(observation)
    action, self._key = self._act[deterministic](self.variables, self._key, observation)
    return acting.to_environment(action, self.environment_spec.actions)

  def _check(self, observation: Any) -> None:
    check_observation_structure(observation, self.environment_spec.observations)
    for array in jax.tree.leaves(observation):
      if not np.all(np.isfinite(array)):
        raise ValueError('The observation has elements that are NaN or infinite.')


def save_policy(
  path: str,
  variables: acting.ActingVariables,
  environment_spec: Any,
  config: IQConfig,
  metadata: Mapping[str, Any] | None = None,
  networks: IQNetworks | None = None,
) -> None:
  """Writes a policy to one npz file, whole or not at all, without pickle.

  Args:
    path: the file to write or replace.
    variables: parameters and normaliser, such as a learner's
      `get_variables(['policy'])[0]`.
    environment_spec: the specs that the networks were made for.
    config: the configuration that the networks were made from.
    metadata: anything JSON can hold.
    networks: the networks, unless they are what `make_networks` returned. The file
      then records what made them, and `load_policy` asks for them.

  Raises:
    NonFiniteActionError: if the policy has numbers that are NaN or infinite; the file
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
    'observations': spec_json.encode(environment_spec.observations),
    'actions': spec_json.encode(environment_spec.actions),
    'metadata': dict(metadata or {}),
  }
  if networks is not None and (makers := _foreign_makers(networks)):
    header['networks'] = makers
  serialization.save_tree(path, tree, header)


def load_policy(path: str, networks: IQNetworks | None = None) -> LoadedPolicy:
  """Reads a policy that `save_policy` wrote.

  Args:
    path: the file.
    networks: the networks it is for; needed only if they were not made by
      `make_networks`, or if observations are NamedTuples, whose class a file cannot
      hold.

  Returns:
    A callable: `policy(observation, deterministic=True)` gives an action.

  Raises:
    FileNotFoundError: if there is no such file.
    CorruptFileError: if the file is damaged or something else, or its parameters are
      not those that it says it has. Names and sizes are checked before they are read.
    ValueError: if it is not for these networks or for this version of the package, is
      not finite, or networks are needed.
  """
  contents = serialization.read_contents(path)
  header = contents.header
  if header.get('format') != _FORMAT:
    raise serialization.CorruptFileError(
      f'{path} is not a policy of this package: use a file that save_policy wrote.'
    )
  foreign = networks is not None
  with serialization.refusing_foreign(path, _UnfitError):
    config = IQConfig(**_hyperparameters(path, header))
    metadata = dict(header['metadata'])
    networks = networks or _default_networks(path, contents, config)
  passed = (ValueError,) if foreign else ()
  with serialization.refusing_foreign(path, *passed):
    check_made_from(networks, config, initialised=True)
    params, normalizer = serialization.load_tree(path, _like(networks, config))
  if bad := _first_not_finite((params, normalizer)):
    raise ValueError(
      f'{path} has numbers that are not finite ({bad}): learning had diverged when it '
      'was written. Use an earlier policy.'
    )
  variables = acting.ActingVariables(params, normalizer, exploring=False)
  return LoadedPolicy(networks, jax.device_put(variables), config, metadata)


class _UnfitError(ValueError):
  """A file that is whole, but asks for a newer package or for networks."""


def _hyperparameters(path: str, header: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the configuration of a policy file that this package can read."""
  if header['version'] > _VERSION:
    raise _UnfitError(
      f'{path} has format version {header["version"]}; this package reads up to '
      f'{_VERSION}: upgrade it.'
    )
  unknown = header['config'].keys() - {f.name for f in dataclasses.fields(IQConfig)}
  if unknown:
    raise _UnfitError(
      f'{path} has hyperparameters that this package does not know: '
      f'{sorted(unknown)}; a newer package wrote it: upgrade this one.'
    )
  return header['config']


def _default_networks(
  path: str, contents: serialization.Contents, config: IQConfig
) -> IQNetworks:
  """Returns the networks that `make_networks` makes for a policy file."""
  if makers := contents.header.get('networks'):
    raise _UnfitError(
      f'{path} is a policy of networks by {makers}, not by make_networks: give '
      'load_policy networks=, made as they were for training.'
    )
  spec = _decode_specs(path, contents.header)
  # Each of these takes a parameter at least. Making networks of more would take memory.
  inputs = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(spec.observations))
  actions = math.prod(spec.actions.shape)
  _check_size(contents, max(inputs, actions, len(config.hidden_layer_sizes)))
  _check_size(contents, policies.count_outputs(spec, config))
  return make_networks(spec, config)


def _check_size(contents: serialization.Contents, needed: int) -> None:
  found = sum(array.size for array in contents.arrays.values())
  if found < needed:
    raise ValueError(f'it has {found} parameters and needs {needed} at least')


def _like(networks: IQNetworks, config: IQConfig) -> Any:
  """Shapes and dtypes of a policy's parameters and normaliser."""
  observations = networks.environment_spec.observations
  normalizer = None
  if config.normalize_observations:
    normalizer = jax.eval_shape(lambda: init_statistics(observations))
  return jax.eval_shape(networks.policy.init, jax.random.PRNGKey(0)), normalizer


def _foreign_makers(networks: IQNetworks) -> str | None:
  """Returns the functions of a policy that `make_networks` did not make, by name."""
  policy = networks.policy
  names = {
    f'{function.__module__}.{getattr(function, "__qualname__", type(function).__name__)}'
    for function in (policy.init, policy.sample, policy.mode)
  }
  own = all(name.startswith(f'{policies.__name__}.') for name in names)
  return None if own and networks.config else ', '.join(sorted(names))


def _first_not_finite(tree: Any) -> str | None:
  """Returns the first number of a nest that is NaN or infinite, if there is one."""
  for leaf in map(np.asarray, jax.tree.leaves(tree)):
    if not np.all(np.isfinite(leaf)):
      return str(leaf[~np.isfinite(leaf)].flat[0])
  return None


def _decode_specs(path: str, header: Mapping[str, Any]) -> EnvironmentSpec:
  """Returns the specs of a policy file's header."""
  try:
    return EnvironmentSpec(
      spec_json.decode(header['observations']), spec_json.decode(header['actions'])
    )
  except spec_json.NamedTupleError as error:
    raise _UnfitError(
      f'{path} is a policy of observations with a NamedTuple, {error}, whose class a '
      'file cannot hold. Give load_policy networks=make_networks(env_spec, config), '
      'with the spec of the environment that it was trained on.'
    ) from None
