import dataclasses

import pytest

from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.commands import algorithms
from iq_acme.config import IQConfig


@pytest.mark.parametrize(
  ('name', 'changes'),
  [
    ('iq', {'munchausen_coefficient': 0.0}),
    ('m_iq', {'munchausen_coefficient': 0.9}),
    (
      'pcl',
      {
        'munchausen_coefficient': 0.0,
        'value_bootstrap': 'online',
        'temperature': 1e-4,
      },
    ),
    ('trust_pcl', {'value_bootstrap': 'online', 'temperature': 1e-4}),
    ('iq_gaussian', {'munchausen_coefficient': 0.0, 'policy_family': 'gaussian'}),
    ('m_iq_gaussian', {'policy_family': 'gaussian'}),
    ('m_iq_autoregressive', {'policy_family': 'autoregressive'}),
  ],
)
def test_algorithms_differ_by_configuration_only(name, changes):
  config = algorithms.make_config(name, 'gym:HalfCheetah-v4')
  assert config == dataclasses.replace(IQConfig(), **changes)
  assert algorithms.algorithm_name(config) == name


@pytest.mark.parametrize(
  ('task', 'temperature', 'learning_rate', 'sac_learning_rate'),
  [
    ('gym:HalfCheetah-v4', 0.01, 3e-4, 3e-4),
    ('gym:Humanoid-v4', 0.01, 1e-4, 3e-4),
    ('adroit:door', 0.001, 3e-5, 3e-5),
  ],
)
def test_settings_follow_the_task(task, temperature, learning_rate, sac_learning_rate):
  config = algorithms.make_config('iq', task)
  assert (config.temperature, config.learning_rate) == (temperature, learning_rate)
  # PCL has a temperature of its own, whatever the suite's.
  assert algorithms.make_config('pcl', task).temperature == 1e-4
  assert algorithms.make_config('sac', task).learning_rate == sac_learning_rate


def test_sac_is_haarnojas():
  config = algorithms.make_config('sac', 'gym:Hopper-v4')
  assert config == SACHyperparameters(
    learning_rate=3e-4,
    hidden_layer_sizes=(256, 256),
    discount=0.99,
    target_update_rate=0.005,
    batch_size=256,
    min_replay_size=10_000,
    max_replay_size=1_000_000,
  )
  assert algorithms.algorithm_name(config) == 'sac'


def test_overrides_are_applied_and_can_make_another_algorithm():
  changed = {'munchausen_coefficient': 0.0, 'temperature': 0.1}
  config = algorithms.make_config('m_iq', 'gym:Ant-v4', changed)
  assert config.temperature == 0.1
  assert algorithms.algorithm_name(config) == 'iq'


@pytest.mark.parametrize(
  ('name', 'overrides', 'message'),
  [
    ('td3', {}, "algorithm is 'td3'"),
    ('sac', {'temperature': 0.1}, "sac has no hyperparameter 'temperature'"),
    ('iq', {'temperature': -1.0}, 'temperature is -1.0'),
    ('sac', {'learning_rate': 0.0}, 'learning_rate is 0.0'),
    ('sac', {'discount': 1.5}, 'discount is 1.5'),
    ('sac', {'hidden_layer_sizes': ()}, 'hidden_layer_sizes is ()'),
    ('sac', {'batch_size': 0}, 'batch_size is 0'),
    ('sac', {'min_replay_size': 100}, 'at least batch_size'),
    ('sac', {'max_replay_size': 9_999}, 'at least min_replay_size'),
  ],
)
def test_bad_input_is_refused_by_name(name, overrides, message):
  with pytest.raises(ValueError) as error:
    algorithms.make_config(name, 'gym:Hopper-v4', overrides)
  assert message in str(error.value)


@pytest.mark.parametrize(
  ('task', 'normalizes'),
  [('gym:HalfCheetah-v5', True), ('gym:Ant-v4', False), ('adroit:pen', False)],
)
def test_tuned_settings_are_the_papers_but_for_what_learns_faster(task, normalizes):
  papers = algorithms.make_config('iq', task)
  tuned = algorithms.make_config('iq', task, settings='tuned')
  assert tuned == dataclasses.replace(papers, normalize_observations=normalizes)


@pytest.mark.parametrize(
  ('name', 'task', 'settings', 'expected'),
  [
    ('m_iq', 'gym:HalfCheetah-v4', 'tuned', 'm_iq_tuned'),
    ('iq', 'gym:HalfCheetah-v4', 'tuned', 'iq_tuned'),
    ('m_iq', 'gym:HalfCheetah-v4', 'paper', 'm_iq'),
    # The same run as with the paper's, and so of the same name.
    ('m_iq', 'gym:Hopper-v4', 'tuned', 'm_iq'),
    # It has one setting, and can stand beside those that have two.
    ('sac', 'gym:HalfCheetah-v4', 'tuned', 'sac'),
  ],
)
def test_runs_are_named_by_settings_that_change_something(
  name, task, settings, expected
):
  config = algorithms.make_config(name, task, settings=settings)
  assert algorithms.run_name(config, task, settings) == expected


def test_settings_that_there_are_not_are_refused():
  with pytest.raises(ValueError, match=r"settings is 'best'; .* one of paper, tuned"):
    algorithms.make_config('m_iq', 'gym:Ant-v4', settings='best')


@pytest.mark.parametrize('name', ['m_iq', 'sac'])
def test_population_of_an_algorithm_takes_its_configurations(name):
  config = algorithms.make_config(name, 'gym:Hopper-v4', {'learning_rate': 0.5})
  family = algorithms.family(config)
  assert family.numbers(config).learning_rate == 0.5
  assert family.program(config)['batch_size'] == config.batch_size
