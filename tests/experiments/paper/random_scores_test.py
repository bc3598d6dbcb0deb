"""The zero of the scores: uniformly random actions."""

import json

import numpy as np
import pytest
from written_runs import CHEETAH, HOPPER

from experiments.paper import random_scores
from iq_acme.commands import parsing


def test_random_scores_are_of_uniform_actions_within_the_bounds():
  from dm_env import specs

  spec = specs.BoundedArray((2,), np.float32, [-1.0, 0.0], [1.0, 10.0])
  actor = random_scores.UniformActor(spec, seed=0)
  actions = np.array([actor.select_action(None) for _ in range(4000)])
  assert actions.dtype == np.float32
  np.testing.assert_allclose(actions.mean(axis=0), [0.0, 5.0], atol=0.2)
  np.testing.assert_allclose(actions.min(axis=0), [-1.0, 0.0], atol=0.05)
  np.testing.assert_allclose(actions.max(axis=0), [1.0, 10.0], atol=0.05)


def test_random_score_of_a_task_says_where_it_comes_from():
  entry = random_scores.measure('gym:Pendulum-v1', num_episodes=3, seed=0)
  assert -2000 < entry['return_mean'] < -500
  assert entry['standard_error'] == pytest.approx(entry['return_std'] / np.sqrt(3))
  assert entry['environment_id'] == 'gym:Pendulum-v1' and entry['episodes'] == 3
  assert entry == random_scores.measure('gym:Pendulum-v1', num_episodes=3, seed=0)


def test_committed_random_scores_are_near_published_ones():
  with open(random_scores.PATH) as file:
    measured = json.load(file)
  # MR.Q, appendix B.3, and D4RL's reference scores.
  published = {
    HOPPER: 18.8,
    'gym:Walker2d-v4': 2.8,
    CHEETAH: -289.4,
    'gym:Ant-v4': -70.3,
    'gym:Humanoid-v4': 120.4,
    'adroit:door': -56.5,
    'adroit:hammer': -274.9,
    'adroit:pen': 96.3,
  }
  assert measured.keys() == published.keys()
  for task, value in published.items():
    error = measured[task]['standard_error']
    assert abs(measured[task]['return_mean'] - value) < 4 * error + 1, task
    assert measured[task]['packages']['mujoco']


def test_damaged_random_scores_are_refused_and_left(tmp_path, capsys):
  path = tmp_path / 'scores.json'
  path.write_text('[')
  flags = [f'--random_output={path}']
  assert parsing.run(random_scores.main, random_scores.FLAGS, None, flags) == 2
  assert f'{path} is damaged' in capsys.readouterr().err and path.read_text() == '['


def test_random_integers_are_uniform_with_both_ends():
  from dm_env import specs

  for spec, values in (
    (specs.DiscreteArray(3), [0, 1, 2]),
    (specs.BoundedArray((2, 1), np.int64, -1, [[1], [1]]), [-1, 0, 1]),
  ):
    actor = random_scores.UniformActor(spec, seed=0)
    actions = np.array([actor.select_action(None) for _ in range(900)])
    assert actions.dtype == spec.dtype and actions.shape[1:] == spec.shape
    found, counts = np.unique(actions, return_counts=True)
    assert found.tolist() == values
    np.testing.assert_allclose(counts / actions.size, 1 / 3, atol=0.06)
