import dataclasses
from collections.abc import Sequence

import pytest
from absl import flags

from experiments.paper import command_flags
from iq_acme import fields
from iq_acme.commands import (
  algorithms,
  config_flags,
  environment_flags,
  evaluate,
  plot,
  run_flags,
  train,
)
from iq_acme.config import IQConfig, paper_config, tuned_config
from iq_acme.training.settings import RunSettings

_MADE_OF_SEVERAL = (
  *('algorithm', 'env_options', 'agent_config', 'agent_defaults'),
  *('counted_steps', 'demonstrations'),
)


@dataclasses.dataclass(frozen=True)
class Config:
  rate: float = fields.number(0.5, 'How fast.', elsewhere='0.1 on ice')
  count: int = 3
  name: str = 'x'
  active: bool = True
  sizes: Sequence[int] = (8, 8)
  ratio: float | None = None


def _apply(*arguments, base=None, config_class=Config):
  values = flags.FlagValues()
  config_flags.define_flags(config_class, values)
  values(['program', *arguments])
  given = config_flags.given(config_class, values)
  return dataclasses.replace(base or config_class(), **given)


def test_flags_not_given_leave_the_base_as_it_is():
  base = Config(rate=0.1, active=False, sizes=(1,), ratio=2.0)
  assert _apply(base=base) == base


def test_every_kind_of_field_is_set_by_its_flag():
  arguments = '--rate=1e-3 --count=0 --name=y --noactive --sizes=4,5,6 --ratio=2'
  assert _apply(*arguments.split()) == Config(
    rate=0.001, count=0, name='y', active=False, sizes=(4, 5, 6), ratio=2.0
  )


def test_help_is_the_fields_own():
  values = flags.FlagValues()
  config_flags.define_flags(Config, values)
  assert values['rate'].help == 'How fast. Default: 0.5; 0.1 on ice.'
  assert values['count'].help == 'count Default: 3.'
  assert values['rate'].value is None


@pytest.mark.parametrize('text', ['1000000', '1e6', '1E+6', '0.001e9', '1000000.0'])
def test_integer_may_be_written_as_a_number(text):
  assert _apply(f'--count={text}').count == 1_000_000


@pytest.mark.parametrize('text', ['1e-1', '2.5', 'nan', 'inf', '1e999999999', 'many'])
def test_integer_that_is_none_is_refused(text):
  with pytest.raises(flags.IllegalFlagValueError, match='count'):
    _apply(f'--count={text}')


def test_help_of_train_tells_what_the_papers_settings_differ_by():
  for name in set(algorithms.NAMES) - {'sac'}:
    for task in ('gym:Ant-v4', 'gym:Humanoid-v4', 'gym:Walker2d-v4', 'adroit:door'):
      config = algorithms.make_config(name, task)
      for field in dataclasses.fields(IQConfig):
        value = getattr(config, field.name)
        if value != field.default:
          shown = f'{value:g}' if isinstance(value, float) else value
          assert f'{shown} ' in train.FLAGS[field.name].help, field.name


@pytest.mark.parametrize('argument', ['--rate=fast', '--count=1.5', '--sizes=4,x'])
def test_value_of_another_type_is_refused(argument):
  with pytest.raises(flags.IllegalFlagValueError):
    _apply(argument)


def test_field_without_a_kind_of_flag_is_refused_by_name():
  @dataclasses.dataclass
  class Unsupported:
    table: dict[str, int] | None = None

  with pytest.raises(TypeError, match='table'):
    config_flags.define_flags(Unsupported, flags.FlagValues())


def test_every_hyperparameter_is_a_flag_over_the_papers_value():
  changed = _apply(
    '--munchausen_coefficient=0',
    base=paper_config('adroit:door'),
    config_class=IQConfig,
  )
  assert changed.temperature == 0.001  # Section 6: Adroit's.
  assert changed.munchausen_coefficient == 0.0


def test_value_that_makes_no_sense_is_refused_by_the_configuration():
  with pytest.raises(ValueError, match='temperature'):
    _apply('--temperature=-1', config_class=IQConfig)


@pytest.mark.parametrize(('num_steps', 'said'), [(300, True), (301, False)])
def test_run_too_short_to_learn_says_so(tmp_path, capsys, num_steps, said):
  arguments = ['--env_name=gym:Nothing-v0', '--min_replay_size=300']
  arguments += [f'--num_steps={num_steps}', f'--workdir={tmp_path / "run"}']
  assert train.run_command(arguments) == 2  # There is no such task.
  assert ('Too short to learn: 300 steps' in capsys.readouterr().out) == said


@pytest.mark.parametrize(
  'values',
  [train.FLAGS, evaluate.FLAGS, command_flags.FLAGS],
  ids=['train', 'evaluate', 'paper'],
)
def test_every_integer_of_a_command_may_be_written_as_1e6(values):
  integers = [
    flag
    for name in values
    if isinstance((flag := values[name]).parser, flags.IntegerParser)
    and flag.name != 'verbosity'  # absl's own.
  ]
  assert len(integers) >= 3
  assert {flag.parser.parse('1e6') for flag in integers} == {1_000_000}


def test_tuned_settings_give_way_to_flags_and_are_in_the_runs_name():
  train.FLAGS.unparse_flags()
  train.FLAGS(['train', '--settings=tuned', '--temperature=0.1'])
  config = run_flags.make_config()
  expected = dataclasses.replace(tuned_config('gym:HalfCheetah-v4'), temperature=0.1)
  assert config == expected != dataclasses.replace(IQConfig(), temperature=0.1)
  settings = run_flags.make_settings(config)
  assert settings.algorithm == 'm_iq_tuned'
  assert settings.workdir == 'runs/gym_HalfCheetah-v4/m_iq_tuned/seed_0'


def test_flags_of_a_run_are_the_fields_of_its_settings():
  train.FLAGS.unparse_flags()
  train.FLAGS(['train', '--checkpoint_period=1e3', '--env_option=x=False'])
  settings = run_flags.make_settings(run_flags.make_config())
  assert settings.workdir == 'runs/gym_HalfCheetah-v4/m_iq/seed_0'
  assert settings.checkpoint_period == 1000 and settings.env_options == {'x': False}
  for field in dataclasses.fields(RunSettings):
    if field.name in _MADE_OF_SEVERAL:
      continue  # Made of other flags, or of several.
    assert train.FLAGS[field.name].help == field.metadata['help']
    if field.default is not dataclasses.MISSING and field.name != 'checkpoint_period':
      assert getattr(settings, field.name) == field.default


def test_flag_without_a_use_or_a_file_is_refused_in_a_line(capsys):
  for run, arguments in (
    (train.run_command, ['--num_steps=many']),
    (train.run_command, ['word']),
    (evaluate.run_command, ['--policy=no/such.npz']),
    (plot.run_command, ['no/such']),
  ):
    assert run(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize('value', ['{[]: 1}', '(' * 500, '1 +', "'"])
def test_option_that_is_no_literal_is_a_word(value):
  assert environment_flags.parse_options([f'a={value}']) == {'a': value}
