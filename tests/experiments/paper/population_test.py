"""A plan's runs as members of populations."""

import json

import pytest
from written_runs import CHEETAH, RANDOM, write_run

from experiments.paper import command_flags, data, figures, plans, population
from experiments.paper.settings import Variant
from iq_acme.training.run_directory import RunDirectory

TASK = 'python:pool_environments:make_small'
VARIANTS = (
  Variant('iq'),
  Variant('m_iq', {'temperature': 0.1}),
  Variant('m_iq', {'num_action_values': 3}),
)


@pytest.fixture
def flags():
  command_flags.FLAGS.unparse_flags()
  command_flags.FLAGS(['paper', '--population', '--num_env_workers=1'])
  return command_flags.FLAGS


def test_runs_of_one_program_share_a_population_in_the_folders_of_single_runs(
  tmp_path, flags, capsys
):
  runs = [plans.make_run(TASK, one, seed, 20) for seed in (0, 1) for one in VARIANTS]
  write_run(tmp_path, TASK, VARIANTS[0], [0.0], seed=1)  # By itself, not finished.

  def status(run):
    folder = RunDirectory(str(tmp_path / run.folder))
    done = bool(folder.read_summary().get('finished')) and run != runs[3]
    return plans.Status(20 * done, done)

  assert population.run(runs, str(tmp_path), status, flags) == 1
  out = capsys.readouterr().out
  assert 'iq seed 1 began as a single run: leave --population out' in out
  assert '2 programs' in out and '5 of 6 runs done.' in out
  parts = []
  for run in runs[:3] + runs[4:]:
    folder = RunDirectory(str(tmp_path / run.folder))
    plans.check_settings(run, str(tmp_path))  # What plots and plans refuse otherwise.
    assert folder.read_config()['engine'] == 'population'
    parts.append(folder.read_summary().get('population'))
  assert plans.status(runs[0], str(tmp_path)).finished
  assert parts[0] == parts[3] is None and parts[1] == parts[4] == '../../iq/seed_0'
  assert population.run(runs[:3], str(tmp_path), status, flags) == 0
  assert capsys.readouterr().out == '3 of 3 runs done.\n'


def test_a_table_of_both_kinds_of_run_says_which_are_which(tmp_path):
  output = str(tmp_path / 'out')

  def table():
    source = data.Source(str(tmp_path))
    figures.draw_all(source, output, RANDOM, ['curves_gym'])
    return (tmp_path / 'out/curves_gym.md').read_text()

  written = [
    write_run(tmp_path, CHEETAH, Variant(name), [0, 1], seed=seed)
    for name in ('iq', 'm_iq')
    for seed in (0, 1)
  ]
  assert 'populations' not in table()
  for folder in written[:2]:
    path = f'{folder}/config.json'
    with open(path) as file:
      config = json.load(file)
    with open(path, 'w') as file:
      json.dump({**config, 'engine': 'population'}, file)
  assert (
    '2 of 4 runs were members of populations (docs/population.md), the others single '
    'runs: gym_HalfCheetah-v4/iq: seed_0, seed_1.'
  ) in table()
