"""Datasets in Minari's own format, made by its own API, read from the disk alone."""

import sys

import gymnasium
import numpy as np
import pytest
from dm_env import specs

from iq_acme import datasets
from iq_acme.spec_checks import EnvironmentSpec

ACTIONS = gymnasium.spaces.Box(-2, 2, (1,), np.float32)
OBSERVATIONS = gymnasium.spaces.Dict(
  {
    'speed': gymnasium.spaces.Box(-9, 9, (2,), np.float64),
    'goal': gymnasium.spaces.Discrete(3, start=1),
  }
)


def spec_of_size(size):
  return EnvironmentSpec(
    specs.Array((size,), np.float32), specs.BoundedArray((1,), np.float32, -2.0, 2.0)
  )


def test_without_the_package_the_install_command_is_said(monkeypatch):
  # Whatever of it a test before this one has loaded.
  for name in [name for name in sys.modules if name.startswith('minari.')]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, 'minari', None)
  for ask in (datasets.fingerprint, lambda x: datasets.read_transitions(x, None)):
    with pytest.raises(ValueError, match=r"pip install 'iq_acme\[minari\]'") as refusal:
      ask('minari:some/data-v0')
    assert '\n' not in str(refusal.value)


@pytest.fixture
def root(monkeypatch, tmp_path):
  pytest.importorskip('minari')
  monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path))
  return tmp_path


def make(dataset_id, observations, observation_space, **ends):
  """Writes a dataset of one episode for each list of observations."""
  import minari
  from minari.data_collector import EpisodeBuffer

  buffers = []
  for index, episode in enumerate(observations):
    steps = len(next(iter(episode.values())) if isinstance(episode, dict) else episode)
    steps -= 1
    buffers.append(
      EpisodeBuffer(
        id=index,
        observations=episode,
        actions=np.full((steps, 1), index, np.float32),
        rewards=np.arange(steps, dtype=np.float64),
        terminations=np.arange(1, steps + 1) == steps * ends['terminated'][index],
        truncations=np.arange(1, steps + 1) == steps * ends['truncated'][index],
      )
    )
  minari.create_dataset_from_buffers(
    dataset_id,
    buffers,
    observation_space=observation_space,
    action_space=ACTIONS,
    description='A toy.',
  )


def test_dict_observations_are_flattened_as_the_environments_are(root):
  episodes = [
    {'speed': np.arange(2.0 * n).reshape(n, 2), 'goal': np.array([1, 2, 3][:n])}
    for n in (3, 2)
  ]
  make('toy/dict-v0', episodes, OBSERVATIONS, terminated=(1, 0), truncated=(0, 1))
  found = datasets.read_transitions('minari:toy/dict-v0', spec_of_size(5))
  flat = [
    gymnasium.spaces.utils.flatten(OBSERVATIONS, {'speed': [x, x + 1], 'goal': goal})
    for x, goal in ((0, 1), (2, 2), (4, 3))
  ]
  np.testing.assert_array_equal(found.observation, [flat[0], flat[1], flat[0]])
  np.testing.assert_array_equal(found.next_observation, [flat[1], flat[2], flat[1]])
  np.testing.assert_array_equal(found.action, [[0], [0], [1]])
  np.testing.assert_array_equal(found.reward, [0, 1, 0])
  # The first episode terminated, the second was cut off.
  np.testing.assert_array_equal(found.discount, [1, 0, 1])
  assert all(leaf.dtype == np.float32 for leaf in found)


def test_transitions_of_several_steps_stay_within_their_episode(root):
  space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
  episodes = [np.arange(n, dtype=np.float32)[:, None] for n in (4, 3)]
  make('toy/box-v0', episodes, space, terminated=(0, 1), truncated=(1, 0))
  found = datasets.read_transitions(
    'minari:toy/box-v0', spec_of_size(1), n_step=2, discount=0.5
  )
  # Rewards are 0, 1, 2 and 0, 1.
  np.testing.assert_allclose(found.reward, [0, 0.5, 1 + 1, 2, 0, 0.5, 1])
  np.testing.assert_allclose(found.discount, [1, 0.5, 0.5, 1, 1, 0, 0])


def test_a_dataset_of_another_environment_is_refused(root):
  episodes = [np.zeros((3, 1), np.float32)]
  space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
  make('toy/box-v0', episodes, space, terminated=(1,), truncated=(0,))
  with pytest.raises(ValueError, match=r'minari:toy/box-v0: observation has shape'):
    datasets.read_transitions('minari:toy/box-v0', spec_of_size(2))


def test_what_is_not_on_the_disk_is_refused_and_not_downloaded(root):
  for ask in (datasets.fingerprint, lambda x: datasets.read_transitions(x, None)):
    with pytest.raises(
      ValueError, match=r"no Minari dataset 'toy/none-v0' in"
    ) as error:
      ask('minari:toy/none-v0')
    assert str(root) in str(error.value)
  (root / 'toy' / 'empty-v0' / 'data').mkdir(parents=True)
  with pytest.raises(ValueError, match='minari:toy/empty-v0 cannot be read'):
    datasets.read_transitions('minari:toy/empty-v0', spec_of_size(1))


def test_the_fingerprint_of_a_dataset_is_of_all_its_files(root):
  space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
  make(
    'toy/a-v0', [np.zeros((3, 1), np.float32)], space, terminated=(1,), truncated=(0,)
  )
  first = datasets.fingerprint('minari:toy/a-v0')
  assert first['name'] == 'minari:toy/a-v0'
  datasets.read_transitions('minari:toy/a-v0', spec_of_size(1))
  assert datasets.fingerprint('minari:toy/a-v0') == first  # Reading changes nothing.
  (path,) = (root / 'toy' / 'a-v0' / 'data').glob('*.hdf5')
  with open(path, 'ab') as file:
    file.write(b'x')
  assert datasets.fingerprint('minari:toy/a-v0')['crc32'] != first['crc32']
