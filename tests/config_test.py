import dataclasses
import json
import math

import numpy as np
import pytest

from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.config import IQConfig, paper_config

# Fields that may be None.
OPTIONAL = (
  'samples_per_insert',
  'policy_learning_rate',
  'munchausen_bound',
  'advantage_bound',
  'disadvantage_bound',
  'target_entropy_per_dim',
)

NAN, INF = math.nan, math.inf

# What every number refuses, whatever its range.
NOT_NUMBERS = ('1', 'high', True, False, None, NAN, INF, -INF, [1], (1.0,), 1j)
NOT_INTEGERS = (*NOT_NUMBERS, 2.0, 2.5)

# Field: values outside of its range.
REALS = {
  'temperature': (0, 0.0, -0.01),
  'munchausen_coefficient': (-0.1, 1.01, 2),
  'discount': (-0.1, 1.0001, 99),
  'output_init_scale': (0, -1e-4),
  'learning_rate': (0, -3e-4),
  'target_update_rate': (0, -0.005, 1.005, 5),
  'policy_learning_rate': (0, -3e-4),
  'munchausen_bound': (0, -1.0),
  'advantage_bound': (0, -1.0),
  'disadvantage_bound': (0, -1.0),
  'target_entropy_per_dim': (0, -1.0),
  'temperature_learning_rate': (0, -3e-4),
  'samples_per_insert': (0, -1.0),
  'samples_per_insert_tolerance_rate': (0, -0.1),
}
INTEGERS = {
  'n_step': (0, -1),
  'num_action_values': (1, 0, -11),
  'num_pairs': (0, -1),
  'num_q_networks': (0, -1),
  'policy_start': (-1,),
  'batch_size': (0, -256),
  'num_sgd_steps_per_step': (0, -1),
  'min_replay_size': (0, -1),
  'max_replay_size': (0, -1),
  'prefetch_size': (-1,),
  'num_sampling_workers': (0, -1),
  'log_period': (0, -1),
}
OTHERS = {
  'value_bootstrap': ('Target', '', 'both', None, True, 1, ['target']),
  'policy_family': ('categorical', '', None, 0),
  'replay': ('reverb', '', None, False),
  'scale_logits_by_temperature': (0, 1, 'True', None, 1.0),
  'normalize_observations': (0, 1, 'False', None),
  'center_policy_error': (0, 1, 'True', None),
  'separate_value': (0, 1, 'False', None),
  'hidden_layer_sizes': (
    (),
    [],
    256,
    None,
    '256',
    (256, 0),
    (-1,),
    (2.0,),
    (True,),
    ('256',),
    ((256,), 256),
  ),
}
# What a message must say is right.
ALLOWED = {
  'temperature': '(0, infinity)',
  'munchausen_coefficient': '[0, 1]',
  'discount': '[0, 1]',
  'output_init_scale': '(0, infinity)',
  'learning_rate': '(0, infinity)',
  'target_update_rate': '(0, 1]',
  'policy_learning_rate': '(0, infinity)',
  'munchausen_bound': '(0, infinity)',
  'advantage_bound': '(0, infinity)',
  'disadvantage_bound': '(0, infinity)',
  'target_entropy_per_dim': '(0, infinity)',
  'temperature_learning_rate': '(0, infinity)',
  'samples_per_insert': '(0, infinity)',
  'samples_per_insert_tolerance_rate': '(0, infinity)',
  'num_action_values': 'an integer of at least 2',
  'prefetch_size': 'an integer of at least 0',
  'policy_start': 'an integer of at least 0',
  'value_bootstrap': "'target', 'online'",
  'policy_family': "'multicategorical', 'autoregressive', 'gaussian'",
  'replay': "'table', 'resident'",
  'scale_logits_by_temperature': 'True or False',
  'normalize_observations': 'True or False',
  'center_policy_error': 'True or False',
  'separate_value': 'True or False',
  'hidden_layer_sizes': 'a non-empty tuple of positive integers',
}

BAD = [
  (name, value)
  for fields, wrong_types in ((REALS, NOT_NUMBERS), (INTEGERS, NOT_INTEGERS))
  for name, values in fields.items()
  for value in (*values, *wrong_types)
  if not (name in OPTIONAL and value is None)
] + [(name, value) for name, values in OTHERS.items() for value in values]


@pytest.mark.parametrize(('name', 'value'), BAD, ids=str)
def test_bad_value_is_refused_with_field_value_and_what_is_right(name, value):
  with pytest.raises(ValueError) as error:
    IQConfig(**{name: value})
  message = str(error.value)
  assert f'IQConfig.{name} ' in message
  # Lists become tuples on the way in.
  shown = tuple(value) if name == 'hidden_layer_sizes' and value == [] else value
  assert f' is {shown!r};' in message
  assert ALLOWED.get(name, 'an integer of at least 1') in message


def test_every_field_has_bad_values_above():
  fields = {field.name for field in dataclasses.fields(IQConfig)}
  assert fields == {*REALS, *INTEGERS, *OTHERS}


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('temperature', 1e-6),
    ('temperature', 1),
    ('munchausen_coefficient', 0.0),
    ('munchausen_coefficient', 1),
    ('discount', 0),
    ('discount', 1.0),
    ('target_update_rate', 1.0),
    ('samples_per_insert', 0.1),
    ('samples_per_insert', None),
    ('policy_learning_rate', None),
    ('munchausen_bound', None),
    ('advantage_bound', None),
    ('disadvantage_bound', None),
    ('policy_start', 0),
    ('num_pairs', 1),
    ('num_q_networks', 1),
    ('num_action_values', 2),
    ('prefetch_size', 0),
    ('hidden_layer_sizes', (1,)),
  ],
)
def test_end_point_of_a_range_is_accepted(name, value):
  assert getattr(IQConfig(**{name: value}), name) == value


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    (
      {'min_replay_size': 255, 'batch_size': 256},
      ('min_replay_size is 255;', 'at least batch_size (256)'),
    ),
    (
      {'min_replay_size': 1_000, 'max_replay_size': 999},
      ('max_replay_size is 999;', 'at least min_replay_size (1000)'),
    ),
  ],
)
def test_fields_that_contradict_each_other_are_refused(fields, words):
  with pytest.raises(ValueError) as error:
    IQConfig(**fields)
  assert all(word in str(error.value) for word in words)


def test_equal_replay_sizes_and_batch_size_are_accepted():
  config = IQConfig(batch_size=64, min_replay_size=64, max_replay_size=64)
  assert config.max_replay_size == 64


def test_unknown_field_is_refused():
  with pytest.raises(TypeError, match='tau'):
    IQConfig(tau=0.01)


def test_config_cannot_be_mutated():
  with pytest.raises(dataclasses.FrozenInstanceError):
    IQConfig().temperature = 0.1


def test_replace_validates_again():
  with pytest.raises(ValueError, match='temperature is -1'):
    dataclasses.replace(IQConfig(), temperature=-1)


def test_config_survives_json_and_stays_hashable():
  config = IQConfig(hidden_layer_sizes=(32, 16), samples_per_insert=2.5)
  again = IQConfig(**json.loads(json.dumps(dataclasses.asdict(config))))
  assert again == config
  assert hash(again) == hash(config)


def test_caller_cannot_change_the_layers_through_its_own_list():
  sizes = [32, 16]
  config = IQConfig(hidden_layer_sizes=sizes)
  sizes.append(8)
  assert config.hidden_layer_sizes == (32, 16)


def test_unset_ratio_is_one_sgd_step_per_environment_step():
  assert IQConfig(batch_size=64).sampled_per_step == 64
  assert IQConfig(batch_size=64, samples_per_insert=8).sampled_per_step == 8


def test_every_field_has_help_for_its_flag():
  assert all(field.metadata['help'] for field in dataclasses.fields(IQConfig))


@pytest.mark.parametrize('config_class', [IQConfig, SACHyperparameters])
def test_help_shows_each_field_with_its_description_once(config_class):
  words = ' '.join(config_class.__doc__.split())
  for field in dataclasses.fields(config_class):
    assert words.count(f'{field.name}: {field.metadata["help"]}') == 1


def test_numpys_scalars_become_pythons_own():
  config = IQConfig(
    batch_size=np.int64(8),
    learning_rate=np.float32(3e-4),
    normalize_observations=np.bool_(True),
    hidden_layer_sizes=[np.int32(4)],
  )
  assert type(config.batch_size) is int and config.batch_size == 8
  assert type(config.learning_rate) is float
  assert config.learning_rate == pytest.approx(3e-4)
  assert config.normalize_observations is True
  assert type(config.hidden_layer_sizes[0]) is int
  json.dumps(dataclasses.asdict(config))


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('batch_size', np.float64(8)),
    ('discount', np.bool_(True)),
    ('n_step', np.int64(0)),
  ],
)
def test_numpys_scalars_keep_to_the_ranges(name, value):
  with pytest.raises(ValueError, match=f'IQConfig.{name} is '):
    IQConfig(**{name: value})


def test_defaults_are_the_papers():
  config = IQConfig()
  # Section 6: temperature 0.01 on Gym, alpha 0.9 for M-IQ, n = 11.
  assert config.temperature == 0.01
  assert config.munchausen_coefficient == 0.9
  assert config.num_action_values == 11
  assert config.value_bootstrap == 'target'
  assert config.policy_family == 'multicategorical'
  # Section 4: pi = softmax(F), the logits as they are.
  assert not config.scale_logits_by_temperature
  # SAC's (Haarnoja et al., 2018b): what the paper keeps.
  assert config.discount == 0.99
  assert config.learning_rate == 3e-4
  assert config.target_update_rate == 0.005
  assert config.batch_size == 256
  assert config.hidden_layer_sizes == (256, 256)
  assert config.max_replay_size == 1_000_000
  assert config.min_replay_size == 10_000
  assert config.n_step == 1
  # SAC normalises no observations.
  assert not config.normalize_observations
  # Two networks, one pair, one learning rate, Eq. 2 as it is printed.
  assert config.separate_value
  assert config.num_pairs == 1
  assert config.num_q_networks == 1
  assert config.policy_learning_rate is None
  assert config.policy_start == 0
  assert not config.center_policy_error
  assert config.munchausen_bound is None
  assert config.advantage_bound is None
  assert config.disadvantage_bound is None


@pytest.mark.parametrize(
  ('task', 'temperature', 'learning_rate'),
  [
    ('gym:HalfCheetah-v4', 0.01, 3e-4),
    ('gym:Ant-v5', 0.01, 3e-4),
    ('gym:Hopper-v4', 0.01, 3e-4),
    ('gym:HumanoidStandup-v4', 0.01, 3e-4),
    ('adroit:door', 0.001, 3e-5),
    ('adroit:pen', 0.001, 3e-5),
    ('dm_control:walker:run', 0.01, 3e-4),
  ],
)
def test_paper_config_follows_the_suite(task, temperature, learning_rate):
  config = paper_config(task)
  assert config.temperature == temperature
  assert config.learning_rate == learning_rate
  assert config.munchausen_coefficient == 0.9


@pytest.mark.parametrize('task', ['gym:Humanoid-v4', 'gym:Walker2d-v4'])
def test_paper_config_learns_slower_on_humanoid_and_walker(task):
  assert paper_config(task).learning_rate < IQConfig().learning_rate
  assert paper_config(task).temperature == 0.01
