"""A policy file of whichever algorithm: its task, and the policy that acts in it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from iq_acme.baselines.sac import config
from iq_acme.environments import imports_code

if TYPE_CHECKING:
  import dm_env

  from iq_acme import LoadedPolicy


@dataclasses.dataclass(frozen=True)
class PolicyFile:
  """What is known of a policy file before there is an environment.

  Attributes:
    metadata: what was saved beside the policy.
    env_name: the task to act in.
    env_options: what its environment is made with.
    load: returns the policy for such an environment; a ValueError if it does not fit.
  """

  metadata: Mapping[str, Any]
  env_name: str
  env_options: Mapping[str, Any]
  load: Callable[['dm_env.Environment'], 'LoadedPolicy']


def read(path: str, env_name: str | None = None) -> PolicyFile:
  """Reads a policy file of IQ's or of SAC's.

  Args:
    path: the file.
    env_name: the task to act in; that of the file if None.

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if it is damaged, there is no task, or the file's would import code,
      which only a user may ask for: the file may be a stranger's.
  """
  from iq_acme.storage import serialization

  header = serialization.load_header(path)
  is_sac = header.get('format') == config.POLICY_FORMAT
  load = _sac_loader(path) if is_sac else _iq_loader(path)
  metadata = header.get('metadata')
  is_dict = isinstance(metadata, dict)
  trained_on = metadata.get('env_name') if is_dict else None
  options = metadata.get('env_options', {}) if is_dict else None
  if not isinstance(options, dict) or not isinstance(trained_on, (str, type(None))):
    raise ValueError(f'{path} is damaged: its metadata are {metadata!r}.')
  name = env_name or trained_on
  if name is None:
    raise ValueError(f'{path} names no task; give one with --env_name.')
  if env_name is None and imports_code(name):
    raise ValueError(
      f'{path} says that it was trained on {name!r} with the options {options}. '
      'That name imports code, so it is not taken from a file: if you know the code, '
      'give it with --env_name.'
    )
  return PolicyFile(metadata, name, options if name == trained_on else {}, load)


def _iq_loader(path: str) -> Callable[['dm_env.Environment'], 'LoadedPolicy']:
  from iq_acme import load_policy
  from iq_acme.spec_checks import check_observation_structure, check_same_actions

  policy = load_policy(path)

  def load(environment: 'dm_env.Environment') -> 'LoadedPolicy':
    spec = policy.environment_spec
    check_observation_structure(environment.observation_spec(), spec.observations)
    check_same_actions(environment.action_spec(), spec.actions)
    return policy

  return load


def _sac_loader(path: str) -> Callable[['dm_env.Environment'], 'LoadedPolicy']:
  from iq_acme.baselines.sac import policy_file
  from iq_acme.spec_checks import make_environment_spec

  return lambda environment: policy_file.load_policy(
    path, make_environment_spec(environment)
  )
