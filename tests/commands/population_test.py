"""`train` with --seeds and --sweep: what it makes of flags, refuses, and goes on with."""

import importlib.util
import os
import re

import numpy as np
import pytest
from small_population import SMALL, bad, evaluated

from iq_acme import load_policy
from iq_acme.commands import evaluate, population, population_flags, run_flags, train
from iq_acme.training.run_directory import RunDirectory

pytestmark = pytest.mark.core
FLAGS = run_flags.FLAGS


def parse(*arguments):
  FLAGS.unparse_flags()
  FLAGS(['train', *arguments])
  return FLAGS


def folders(root, *arguments):
  """Returns the members' folders, relative to a root."""
  parse(*SMALL, f'--workdir={root}', *arguments)
  paths = [member.settings.workdir for member in population.make_members()]
  return [os.path.relpath(path, root) for path in paths]


def run(root, *arguments):
  return train.run_command([*SMALL, f'--workdir={root}', *arguments])


@pytest.mark.parametrize(
  ('text', 'seeds'),
  [('0-2', [0, 1, 2]), ('7', [7]), ('3,0-1', [3, 0, 1]), ('4-4, 9', [4, 9])],
)
def test_seeds_are_ranges_and_numbers_in_their_order(text, seeds):
  assert population_flags.parse_seeds(text) == seeds


def test_a_sweep_makes_all_combinations_each_of_its_fields_own_kind():
  values = parse(
    '--seeds=0-1',
    '--sweep=temperature=1e-3,0.1',
    '--sweep=num_pairs=1,2',
    '--sweep=value_bootstrap=target',
    '--sweep=normalize_observations=true',
  )
  variations = list(population_flags.variations(values))
  assert len(variations) == 8 and [x.seed for x in variations] == [0, 1] * 4
  assert [
    tuple(x.overrides[name] for name in ('temperature', 'num_pairs'))
    for x in variations[::2]
  ] == [(0.001, 1), (0.001, 2), (0.1, 1), (0.1, 2)]
  assert variations[0].overrides['value_bootstrap'] == 'target'
  assert variations[0].overrides['normalize_observations'] is True


def test_an_algorithm_without_the_swept_field_is_not_varied_by_it():
  values = parse('--algorithm=iq,sac', '--sweep=temperature=0.1,0.2')
  variations = list(population_flags.variations(values))
  assert [(x.algorithm, x.overrides) for x in variations] == [
    ('iq', {'temperature': 0.1}),
    ('iq', {'temperature': 0.2}),
    ('sac', {}),
  ]


REFUSED = [
  ('--seeds=1-0', "--seeds='1-0' must be such as 0-19 or 0,3,7-9."),
  ('--seeds=-1', "--seeds='-1' must be such as"),
  ('--seeds=', "--seeds='' must be such as"),
  ('--seeds=0,0-1', "--seeds='0,0-1' names a seed twice."),
  ('--seeds=0-9999999999', 'names more than 10,000 seeds.'),
  ('--seeds=5000000000', 'seed is 5000000000; it must be at most 4294967295.'),
  ('--seeds=0 --seed=1', '--seed and --seeds are both given; give one of them.'),
  ('--seeds=0 --run_distributed', '--run_distributed trains one seed, and --seeds'),
  ('--seeds=0 --engine=agent', '--engine=agent trains one seed, and --seeds is for'),
  ('--engine=agent --algorithm=iq,m_iq', 'and several of --algorithm is for'),
  ('--engine=population --run_distributed', 'and --engine=population is for'),
  ('--engine=fast', "--engine=fast must be 'agent' or 'population'."),
  ('--seeds=0 --nocheckpoint_replay', "a population's checkpoints hold its replay."),
  ('--seeds=0 --replay=table', "--replay is for single runs of Acme's parts"),
  ('--seeds=0 --prefetch_size=4', '--prefetch_size is for single runs'),
  ('--seeds=0 --keep_checkpoints=0', '--keep_checkpoints=0: 0 is not a positive'),
  ('--seeds=0 --members_at_once=0', '--members_at_once=0: 0 is not a positive'),
  ('--engine=agent --num_env_workers=1', 'one seed, and --num_env_workers is for'),
  ('--sweep=temperature', "--sweep='temperature' must be a hyperparameter and values"),
  (
    '--sweep=temperature=',
    "--sweep='temperature=' must be a hyperparameter and values",
  ),
  ('--sweep=temprature=1', 'temprature is no hyperparameter that can be swept; these'),
  ('--sweep=seed=0,1', 'seed is no hyperparameter that can be swept; these can: adv'),
  ('--sweep=num_steps=50,60', 'num_steps is no hyperparameter that can be swept'),
  ('--sweep=env_name=a,b', 'env_name is no hyperparameter that can be swept'),
  ('--sweep=replay=table', 'replay is no hyperparameter that can be swept'),
  ('--sweep=hidden_layer_sizes=8,9', 'hidden_layer_sizes is no hyperparameter that'),
  ('--sweep=temperature=a,1', "--sweep='temperature=a,1': could not convert string to"),
  (
    '--sweep=temperature=0.1,1e-1',
    "--sweep='temperature=0.1,1e-1' names a value twice",
  ),
  (
    '--sweep=temperature=0,1',
    'temperature is 0.0; it must be a number in (0, infinity)',
  ),
  ('--sweep=batch_size=8,16', '--sweep=batch_size=... and --batch_size both say what'),
  ('--sweep=n_step=1 --sweep=n_step=3', 'both say what n_step is.'),
  ('--algorithm=sac --sweep=temperature=1', 'sac has no such hyperparameter.'),
  ('--algorithm=', '--algorithm= names none of iq, m_iq'),
  ('--algorithm=iq,iq', 'Two members would have the folder'),
  ('--algorithm=iq,sarsa', "algorithm is 'sarsa'; it must be one of iq, m_iq"),
  (
    '--algorithm=m_iq --sweep=munchausen_coefficient=0,1',
    'With these flags m_iq is iq; leave --algorithm out.',
  ),
]


@pytest.mark.parametrize(('arguments', 'message'), REFUSED)
def test_mistakes_are_refused_in_one_line_and_leave_no_folder(
  arguments, message, tmp_path, capsys
):
  small = SMALL
  if 'hidden' in arguments:
    small = [x for x in SMALL if 'hidden' not in x]
  arguments = [*small, '--num_steps=20', *arguments.split()]
  workdir = tmp_path / 'runs'
  status = train.run_command([f'--workdir={workdir}', *arguments])
  error = capsys.readouterr().err
  assert status == 2 and message in error and error.count('\n') == 1
  assert not workdir.exists()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ('--env_name=gym:NoSuchTask-v0', "'NoSuchTask-v0' is not in Gymnasium's registry"),
    ('--env_option=wheels=4', "unexpected keyword argument 'wheels'"),
  ],
)
def test_a_task_that_cannot_be_made_is_refused(arguments, message, tmp_path, capsys):
  workdir = tmp_path / 'runs'
  assert run(workdir, '--seeds=0-1', *arguments.split()) == 2
  assert message in capsys.readouterr().err and not workdir.exists()


def test_a_folder_that_cannot_be_is_refused(tmp_path, capsys):
  (tmp_path / 'file').write_text('')
  assert run(tmp_path / 'file', '--seeds=0-1') == 2
  assert "cannot be a run's folder" in capsys.readouterr().err


def test_members_have_folders_by_variant_and_seed(tmp_path):
  assert folders(
    tmp_path, '--algorithm=iq,m_iq', '--sweep=temperature=1e-3,1e-2', '--seeds=0,3'
  ) == [
    f'{name}-temperature={value}/seed_{seed}'
    for name in ('iq', 'm_iq')
    for value in ('0.001', '0.01')
    for seed in (0, 3)
  ]
  # Named by what it is.
  found = folders(tmp_path, '--sweep=munchausen_coefficient=0,0.5')
  assert [x.split('-')[0] for x in found] == ['iq', 'm_iq']


def test_workdir_is_a_single_runs_own_folder_but_the_root_of_many(tmp_path):
  assert folders(tmp_path, '--engine=population', '--seed=4') == ['.']
  assert folders(tmp_path, '--seeds=4') == ['m_iq/seed_4']  # Others may come beside it.
  assert folders(tmp_path, '--sweep=n_step=3') == ['m_iq-n_step=3/seed_0']
  parse('--env_name=gym:Hopper-v4', '--seeds=0-1')
  assert [x.settings.workdir for x in population.make_members()] == [
    f'runs/gym_Hopper-v4/m_iq/seed_{seed}' for seed in (0, 1)
  ]


def test_without_acme_a_single_seed_is_a_population_of_one(tmp_path, monkeypatch):
  find_spec = importlib.util.find_spec
  for has_acme in (True, False):
    monkeypatch.setattr(
      importlib.util,
      'find_spec',
      lambda name, has_acme=has_acme: (
        (has_acme or None) and find_spec('iq_acme')
        if name == 'acme'
        else find_spec(name)
      ),
    )
    parse('--seed=3')
    assert population.is_asked_for() is not has_acme
    parse('--seed=3', '--engine=agent')
    assert not population.is_asked_for()
    parse('--seeds=3')
    assert population.is_asked_for()
  assert run(tmp_path / 'one', '--seed=3', '--num_steps=30') == 0
  config = RunDirectory(str(tmp_path / 'one')).read_config()
  assert config['engine'] == 'population' and config['seed'] == 3


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  root = tmp_path_factory.mktemp('finished')
  assert run(root, '--seeds=0-1', '--num_steps=40') == 0
  return root


def test_more_seeds_and_more_steps_extend_a_population(finished, capsys):
  assert run(finished, '--seeds=0-2', '--num_steps=40') == 0
  out = capsys.readouterr().out
  assert '2 of 3 have already reached 40 steps.' in out and 'Resumed' not in out
  assert run(finished, '--seeds=0-2', '--num_steps=60') == 0
  out = capsys.readouterr().out
  assert out.count('Resumed at step 40') == 2 and '2 programs' in out
  for seed in range(3):
    assert evaluated(finished / f'm_iq/seed_{seed}') == [0, 20, 40, 60]
  assert f'python -m iq_acme plot {finished}/m_iq/*' in out
  assert run(finished, '--seeds=0-2', '--num_steps=60') == 0
  assert 'checkpoint' not in capsys.readouterr().out


def test_folders_of_others_are_refused(finished, capsys):
  assert run(finished, '--seeds=0-1', '--num_steps=90', '--n_step=3') == 2
  assert 'agent.n_step: 1 there, 3 here' in capsys.readouterr().err
  # The members of a population go on together.
  assert run(finished, '--seeds=1', '--num_steps=90') == 2
  assert 'go on with the same members as then' in capsys.readouterr().err
  assert run(finished / 'm_iq/seed_0', '--seeds=0-1', '--num_steps=90') == 2
  assert 'is the folder of a run, and members have' in capsys.readouterr().err
  if importlib.util.find_spec('acme'):
    arguments = [x for x in SMALL if 'workers' not in x]
    arguments += [f'--workdir={finished}/m_iq/seed_0', '--num_steps=90']
    assert train.run_command([*arguments, '--engine=agent']) == 2
    assert 'engine: "population" there, "agent" here' in capsys.readouterr().err


def test_a_member_that_is_stopped_is_named_and_not_tried_again(tmp_path, capsys):
  arguments = ('--seeds=0-1', '--num_steps=40', *bad(1, 25, 'fail'))
  line = 'm_iq/seed_1 was stopped: ArithmeticError: this environment has had enough'
  assert run(tmp_path, *arguments) == 1
  assert line in capsys.readouterr().out
  assert evaluated(tmp_path / 'm_iq/seed_0') == [0, 20, 40]
  assert run(tmp_path, *arguments) == 1
  out = capsys.readouterr().out
  assert line in out and '2 of 2 have already reached 40 steps.' in out


@pytest.mark.parametrize(
  ('algorithm', 'words'),
  [
    ('iq_gaussian', "DiscreteArray.*IQConfig.policy_family 'gaussian' takes floats"),
    ('sac', 'DiscreteArray.*SAC takes floats alone'),
  ],
)
def test_an_algorithm_for_floats_alone_is_refused_for_integer_actions(
  algorithm, words, tmp_path, capsys
):
  flags = [x for x in SMALL if 'num_action_values' not in x and 'env_name' not in x]
  flags += ['--env_name=gym:CartPole-v1', f'--algorithm={algorithm}', '--seeds=0-1']
  assert train.run_command([f'--workdir={tmp_path / "runs"}', *flags]) == 2
  error = capsys.readouterr().err
  assert re.search(words, error) and error.count('\n') == 1
  assert not (tmp_path / 'runs').exists()


@pytest.mark.parametrize('space', ['discrete', 'multi_discrete', 'multi_binary'])
def test_integer_actions_train_are_stored_and_evaluated(space, tmp_path, capsys):
  task = ['--env_name=python:discrete_environments:make', f'--env_option=space={space}']
  arguments = ['--algorithm=m_iq,iq_autoregressive', '--seeds=0-1', '--num_steps=40']
  assert run(tmp_path, *task, *arguments) == 0
  folders = [path.parent for path in tmp_path.rglob('policy.npz')]
  assert len(folders) == 4
  for folder in folders:
    assert evaluated(folder) == [0, 20, 40]
    policy = load_policy(str(folder / 'policy.npz'))
    spec = policy.environment_spec.actions
    assert np.issubdtype(spec.dtype, np.integer)
    for sampled in (False, True):
      spec.validate(policy(np.zeros(2, np.float32), deterministic=not sampled))
    for ring in folder.glob(
      'checkpoints/*/replay_0000.npy'
    ):  # In the first member's folder: rows of (s, a, r, discount, s').
      size = int(np.prod(spec.shape))
      actions = np.load(ring)[:, 2 : 2 + size].reshape(-1, *spec.shape)
      for action in actions:
        spec.validate(action.astype(np.int32))
      assert len(np.unique(actions, axis=0)) > 2
  status = evaluate.run_command(
    [f'--policy={folders[0] / "policy.npz"}', '--num_episodes=2', *task]
  )
  assert status == 0 and '2 episodes' in capsys.readouterr().out
  other = ['--env_name=python:discrete_environments:make', '--env_option=space=other']
  assert evaluate.run_command([f'--policy={folders[0] / "policy.npz"}', *other]) == 2
  found = capsys.readouterr().err
  assert 'this policy gives' in found and found.count('\n') == 1
