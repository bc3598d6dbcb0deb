"""SAC's policy in one file, which any run of it writes and which needs no Acme to act.

The file holds Acme's parameters, of a policy in the canonical [-1, 1]^D; whoever loads it
gives the environment in whose units it is to act.
"""

from collections.abc import Mapping
from typing import Any

import jax

from iq_acme import acting, policy_io
from iq_acme.baselines.sac.config import POLICY_FORMAT, SACHyperparameters
from iq_acme.baselines.sac.networks import make_networks
from iq_acme.normalization import init_statistics
from iq_acme.storage import serialization


def save_policy(
  path: str,
  variables: acting.ActingVariables,
  environment_spec: Any,
  config: SACHyperparameters,
  metadata: Mapping[str, Any] | None = None,
) -> None:
  """Writes a policy to one npz file, whole or not at all.

  Args:
    path: the file to write or replace.
    variables: parameters and normaliser.
    environment_spec: the specs that the networks were made for.
    config: the configuration that the networks were made from.
    metadata: anything JSON can hold.
  """
  header = {
    'format': POLICY_FORMAT,
    'hidden_layer_sizes': list(config.hidden_layer_sizes),
    'normalize_observations': config.normalize_observations,
    'observation_shape': list(environment_spec.observations.shape),
    'action_shape': list(environment_spec.actions.shape),
    'metadata': dict(metadata or {}),
  }
  serialization.save_tree(path, _tree(variables.params, variables.normalizer), header)


def load_policy(path: str, environment_spec: Any) -> policy_io.LoadedPolicy:
  """Reads a policy that `save_policy` wrote.

  Args:
    path: the file.
    environment_spec: of the environment that it is to act in, in whose units.

  Returns:
    A callable: `policy(observation, deterministic=True)` gives an action.

  Raises:
    FileNotFoundError: if there is no such file.
    CorruptFileError: if it is damaged or something else.
    ValueError: if it belongs to another environment.
  """
  header = serialization.load_header(path)
  if header.get('format') != POLICY_FORMAT:
    raise serialization.CorruptFileError(f"{path} is no policy of this project's SAC.")
  with serialization.refusing_foreign(path):
    config = SACHyperparameters(
      hidden_layer_sizes=header['hidden_layer_sizes'],
      normalize_observations=header.get('normalize_observations', False),
    )
    metadata = dict(header['metadata'])
  networks = make_networks(environment_spec, config)
  normalizer = None
  if config.normalize_observations:
    normalizer = jax.eval_shape(lambda: init_statistics(environment_spec.observations))
  params = jax.eval_shape(networks.policy.init, jax.random.PRNGKey(0))
  tree = serialization.load_tree(path, _tree(params, normalizer))
  params, normalizer = tree if config.normalize_observations else (tree, None)
  variables = acting.ActingVariables(params, normalizer, exploring=False)
  return policy_io.LoadedPolicy(networks, jax.device_put(variables), config, metadata)


def _tree(params: Any, normalizer: Any) -> Any:
  """Returns what the arrays of a file are; older ones have no normaliser."""
  return params if normalizer is None else (params, normalizer)
