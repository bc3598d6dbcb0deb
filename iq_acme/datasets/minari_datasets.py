"""Minari's datasets, as far as they lie on this disk: nothing is downloaded."""

from typing import Any

import numpy as np

from iq_acme.datasets.npz_files import LAST
from iq_acme.environments.observations import FlatObservations

_INSTALL = "pip install 'iq_acme[minari]'"


def folder(dataset_id: str) -> str:
  """Returns the folder of a dataset.

  Args:
    dataset_id: such as 'mujoco/hopper/expert-v0'.

  Raises:
    ValueError: if it is not on this disk, or Minari is not installed.
  """
  # Late, because it is an extra.
  try:
    from minari.storage.datasets_root_dir import get_dataset_path
  except ImportError as error:
    raise ValueError(
      f'minari:{dataset_id} is read by the package minari, which cannot be imported '
      f'({error}): {_INSTALL}.'
    ) from None
  root, path = get_dataset_path(), get_dataset_path(dataset_id)
  if not dataset_id or not (path / 'data').is_dir():
    raise ValueError(
      f'There is no Minari dataset {dataset_id!r} in {root} (MINARI_DATASETS_PATH), and '
      'none is downloaded here: `minari list local` shows those that are on this disk.'
    )
  return str(path)


def read(dataset_id: str) -> dict[str, np.ndarray]:
  """Reads all episodes of a dataset.

  Args:
    dataset_id: such as 'mujoco/hopper/expert-v0'.

  Returns:
    Arrays [N, ...] by the names of an npz file. Observations are flattened as those of
    `iq_acme.make_environment` are; a step that terminated has discount 0, one that was
    cut off by a time limit discount 1, and both are the last of their episode.

  Raises:
    ValueError: if there is no such dataset on this disk, or it cannot be read.
  """
  folder(dataset_id)
  import minari

  try:
    dataset = minari.load_dataset(dataset_id, download=False)
    flatten = FlatObservations(f'minari:{dataset_id}', dataset.observation_space)
    episodes = [_episode(one, flatten) for one in dataset.iterate_episodes()]
  except (ImportError, OSError, KeyError, TypeError, ValueError) as error:
    raise ValueError(f'minari:{dataset_id} cannot be read: {error}') from None
  names = ('observation', 'action', 'reward', 'discount', 'next_observation', LAST)
  columns = zip(*episodes) if episodes else [[np.zeros(0)]] * len(names)
  return {name: np.concatenate(list(column)) for name, column in zip(names, columns)}


def _episode(episode: Any, flatten: FlatObservations) -> tuple[np.ndarray, ...]:
  """Returns an episode's arrays, [T, ...], in the order that `read` names them."""
  length = len(episode.rewards)
  observations = np.stack(
    [flatten(_at(episode.observations, t)) for t in range(length + 1)]
  )
  terminated = np.asarray(episode.terminations, bool)
  last = terminated | np.asarray(episode.truncations, bool)
  last[-1:] = True
  return (
    observations[:-1],
    np.asarray(episode.actions),
    np.asarray(episode.rewards),
    1.0 - terminated,
    observations[1:],
    last,
  )


def _at(observations: Any, index: int) -> Any:
  """Returns one time step's of an episode's nested observations."""
  if isinstance(observations, dict):
    return {key: _at(part, index) for key, part in observations.items()}
  if isinstance(observations, tuple):
    return tuple(_at(part, index) for part in observations)
  return observations[index]
