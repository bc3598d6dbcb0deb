"""Files of transitions: what is written comes back, and what does not fit is named."""

import collections

import dm_env
import jax
import numpy as np
import pytest
from dm_env import specs
from tiny_environments import NumberedEnvironment, spec_of

from iq_acme import datasets
from iq_acme.datasets import npz_files
from iq_acme.datasets.recorder import Recorder
from iq_acme.episodes import Actor, run_episodes
from iq_acme.spec_checks import EnvironmentSpec

SPEC = spec_of(NumberedEnvironment(action_dim=2))


class HalfActor(Actor):
  """Takes the step's number, made small, as its action, in an array that it reuses."""

  def __init__(self):
    self._action = np.zeros(2, np.float32)

  def select_action(self, observation):
    self._action[:] = observation[1] / 100
    return self._action

  def observe_first(self, timestep):
    pass

  def observe(self, action, next_timestep):
    pass


def arrays(count=4, **changes):
  """A file's arrays: loose transitions that fit `SPEC`."""
  values = {
    'observation': np.arange(2.0 * count).reshape(count, 2),
    'action': np.linspace(-1, 3, 2 * count).reshape(count, 2),
    'reward': np.arange(count),
    'discount': np.array([1.0, 0.0] * (count // 2)),
    'next_observation': np.ones((count, 2), np.float16),
  }
  return {name: x for name, x in {**values, **changes}.items() if x is not None}


def write(path, values):
  npz_files.write(str(path), values)
  return str(path)


def recorded(environment, num_episodes):
  recorder = Recorder(HalfActor())
  run_episodes(recorder, environment, num_episodes)
  return recorder.arrays()


def test_recorded_episodes_come_back_step_by_step(tmp_path):
  environment = NumberedEnvironment((3, 2), (True, False), action_dim=2)
  path = write(tmp_path / 'new' / 'x.npz', recorded(environment, 2))
  found = datasets.read_transitions(path, SPEC)
  for column, expected in zip(found, zip(*environment.transitions)):
    assert column.dtype == np.float32
    np.testing.assert_array_equal(column, np.stack(expected))
  # Termination stops the bootstrap, truncation does not; both end their episode.
  np.testing.assert_array_equal(found.discount, [1, 1, 0, 1, 1])
  with np.load(path) as file:
    np.testing.assert_array_equal(file['last'], [0, 0, 1, 0, 1])


def test_transitions_of_several_steps_end_with_their_episode(tmp_path):
  environment = NumberedEnvironment((3, 2), (True, False), action_dim=2)
  path = write(tmp_path / 'x.npz', recorded(environment, 2))
  found = datasets.read_transitions(path, SPEC, n_step=2, discount=0.5)
  # Rewards are the steps' numbers 0, 1, 2 and 3, 4. Of (first step, last step):
  # (0, 0), (0, 1), (1, 2), (2, 2) and (3, 3), (3, 4), (4, 4).
  np.testing.assert_allclose(found.reward, [0, 0.5, 1 + 1, 2, 3, 3 + 2, 4])
  np.testing.assert_allclose(found.discount, [1, 0.5, 0, 0, 1, 0.5, 1])
  np.testing.assert_array_equal(found.observation[:, 1], [0, 0, 1, 2, 3, 3, 4])
  np.testing.assert_array_equal(found.next_observation[:, 1], [1, 2, 3, 3, 4, 5, 5])
  assert all(leaf.dtype == np.float32 for leaf in found)


def test_loose_transitions_are_read_in_the_specs_dtypes(tmp_path):
  found = datasets.read_transitions(write(tmp_path / 'x.npz', arrays()), SPEC)
  assert [leaf.shape for leaf in found] == [(4, 2), (4, 2), (4,), (4,), (4, 2)]
  assert all(leaf.dtype == np.float32 for leaf in found)
  np.testing.assert_array_equal(found.reward, [0, 1, 2, 3])


def test_an_action_that_rounding_took_beyond_its_bound_is_the_bound(tmp_path):
  action = np.full((4, 2), np.nextafter(np.float32(3), np.float32(4)))
  path = write(tmp_path / 'x.npz', arrays(action=action))
  np.testing.assert_array_equal(datasets.read_transitions(path, SPEC).action, 3)


def test_nested_observations_go_by_their_keys(tmp_path):
  vector = specs.Array((2,), np.float32)
  nested = collections.OrderedDict(
    joints=vector, hand={'left': specs.Array((), np.float32)}
  )
  spec = EnvironmentSpec(nested, SPEC.actions)
  sides = {
    'observation/joints': np.zeros((4, 2)),
    'observation/hand/left': np.arange(4.0),
    'next_observation/joints': np.ones((4, 2)),
    'next_observation/hand/left': np.arange(1.0, 5),
  }
  values = arrays(observation=None, next_observation=None) | sides
  found = datasets.read_transitions(write(tmp_path / 'x.npz', values), spec)
  assert jax.tree.structure(found.observation) == jax.tree.structure(nested)
  np.testing.assert_array_equal(found.next_observation['hand']['left'], [1, 2, 3, 4])

  recorder = Recorder(HalfActor())
  observation = collections.OrderedDict(
    joints=np.zeros(2), hand={'left': np.float32(1)}
  )
  recorder.observe_first(dm_env.restart(observation))
  recorder.observe(np.zeros(2), dm_env.transition(0.0, observation))
  assert {*recorder.arrays()} == {*values, 'last'}


def test_integer_actions_stay_integers_and_floats_are_refused(tmp_path):
  spec = SPEC._replace(actions=specs.BoundedArray((), np.int64, 5, 7))
  path = write(tmp_path / 'x.npz', arrays(action=np.array([5, 6, 7, 5], np.uint8)))
  found = datasets.read_transitions(path, spec)
  assert found.action.dtype == np.int64
  np.testing.assert_array_equal(found.action, [5, 6, 7, 5])
  for action, message in (
    (np.array([5.0, 6, 7, 5]), 'action has dtype float64; it must be int64'),
    (np.array([5, 8, 7, 5]), 'action is 8 in row 1, beyond'),
  ):
    with pytest.raises(ValueError, match=message):
      datasets.read_transitions(write(path, arrays(action=action)), spec)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'reward': None}, "no array 'reward'; it needs observation, .* and has action"),
    ({'action': np.zeros((4, 3))}, r'action has shape \(4, 3\); it must be \(4, 2\)'),
    ({'observation': np.zeros((3, 2))}, r'observation has shape \(3, 2\)'),
    ({'reward': np.zeros((4, 1))}, r'reward has shape \(4, 1\)'),
    ({'reward': np.zeros(0)}, 'holds no transitions'),
    ({'reward': np.float32(1)}, 'holds no transitions'),
    ({'reward': np.array(list('abcd'))}, 'reward has dtype <U1'),
    ({'action': np.zeros((4, 2), complex)}, 'action has dtype complex128'),
    ({'reward': [0, 1, np.nan, 3]}, 'reward is not finite in row 2: nan'),
    ({'next_observation': np.full((4, 2), 1e39)}, 'not finite in row 0'),
    ({'action': np.full((4, 2), 3.1)}, r'action is \[3.1 3.1\] in row 0, beyond'),
    ({'discount': np.full(4, 1.5)}, 'discount is 1.5 in row 0, beyond'),
    ({'last': np.zeros(3, bool)}, r'last has shape \(3,\); it must be \(4,\)'),
  ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path, changes, message):
  changes = {k: v if v is None else np.asarray(v) for k, v in changes.items()}
  path = write(tmp_path / 'x.npz', arrays(**changes))
  with pytest.raises(ValueError, match=message) as refusal:
    datasets.read_transitions(path, SPEC)
  assert path in str(refusal.value) and '\n' not in str(refusal.value)


def test_several_steps_need_to_know_where_episodes_end(tmp_path):
  path = write(tmp_path / 'x.npz', arrays())
  with pytest.raises(ValueError, match=r"no array 'last' .* n_step=3"):
    datasets.read_transitions(path, SPEC, n_step=3)
  path = write(tmp_path / 'y.npz', arrays(last=np.array([0, 1, 0, 1], bool)))
  with pytest.raises(ValueError, match='row 1 does not begin where row 0 ended'):
    datasets.read_transitions(path, SPEC, n_step=3)


def test_what_is_no_file_of_arrays_is_named(tmp_path):
  text, array, objects = (tmp_path / name for name in ('a.npz', 'b.npy', 'c.npz'))
  text.write_text('no arrays')
  np.save(array, np.zeros(3))
  np.savez(objects, **arrays(reward=np.array([None] * 4)))
  whole = write(tmp_path / 'd.npz', arrays(count=400))
  cut = tmp_path / 'e.npz'
  cut.write_bytes((tmp_path / 'd.npz').read_bytes()[:5000])
  for path in (text, array, objects, cut, tmp_path, tmp_path / 'none.npz'):
    with pytest.raises(ValueError, match=str(path)) as refusal:
      datasets.read_transitions(str(path), SPEC)
    assert '\n' not in str(refusal.value)
  assert len(datasets.read_transitions(whole, SPEC).reward) == 400


def test_a_fingerprint_is_of_the_name_and_the_contents(tmp_path):
  first = datasets.fingerprint(write(tmp_path / 'x.npz', arrays()))
  assert first['name'] == 'x.npz'
  moved = write(tmp_path / 'elsewhere' / 'x.npz', arrays())
  assert datasets.fingerprint(moved) == first
  other = write(tmp_path / 'x.npz', arrays(reward=np.ones(4)))
  assert datasets.fingerprint(other)['crc32'] != first['crc32']
  with pytest.raises(ValueError, match=r'no file .*none\.npz'):
    datasets.fingerprint(str(tmp_path / 'none.npz'))
