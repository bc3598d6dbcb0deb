"""Over-estimation of tiny runs written by hand."""

import csv
import dataclasses
import glob
import json
import os

import numpy as np
import pytest

from experiments.learning import overestimation
from experiments.paper import plans
from experiments.paper.settings import Study, Variant
from iq_acme.commands import algorithms, parsing
from iq_acme.storage import files

HOPPER = 'gym:Hopper-v4'
TODAY = Variant('m_iq')
BOUND = Variant('m_iq', {'advantage_bound': 10.0})
STUDIES = [Study('Remedies', (HOPPER,), (TODAY, BOUND), num_seeds=2, num_steps=20)]


def write_run(root, variant, rows, seed=0, entropy=overestimation.ENTROPY):
  """Rows are (return, V, discounted return, entropy) at 0, 10, 20 steps."""
  run = plans.make_run(HOPPER, variant, seed, 20)
  config = algorithms.make_config(run.algorithm, HOPPER, dict(run.overrides))
  folder = os.path.join(root, run.folder)
  os.makedirs(folder)
  with open(os.path.join(folder, 'config.json'), 'w') as file:
    json.dump(
      {
        'env_name': HOPPER,
        'algorithm': run.algorithm,
        'seed': seed,
        'agent': files.as_json(dataclasses.asdict(config)),
      },
      file,
    )
  with open(os.path.join(folder, 'eval.csv'), 'w') as file:
    names = [*overestimation.COLUMNS[:-1], entropy][: len(rows[0])]
    file.write(','.join(['actor_steps', *names]) + '\n')
    for i, row in enumerate(rows):
      file.write(f'{10 * i},{",".join(map(str, row))}\n')


@pytest.fixture
def root(tmp_path):
  path = str(tmp_path / 'runs')
  start = (1, 0, 1, 2.4)
  write_run(path, TODAY, [start, (100, 300, 90, 0.1), (200, 600, 100, 0.01)])
  write_run(path, TODAY, [start, (120, 200, 80, 0.2), (300, 400, 200, 0.03)], seed=1)
  write_run(path, BOUND, [start, (50, 40, 50, 2.0), (60, 30, -40, 1.0)])
  # On its way: it does not count.
  write_run(path, BOUND, [start, (50, 40, 50, 2.0)], seed=1)
  return path


def write_all(root, output):
  found, planned = overestimation.load_plan(root, STUDIES)
  return overestimation.write_all(found, f'{output}/overestimation', planned)


def test_table_by_hand_leaves_out_what_is_not_finished(root, tmp_path):
  output = str(tmp_path / 'out')
  (line,) = write_all(root, output)
  assert line.endswith('.csv, .md, .png: 3 of 4 runs are finished and shown.')
  page = (tmp_path / 'out' / 'overestimation_Hopper-v4.md').read_text()
  # 500 / 100 and 200 / 200; (600 + 400) / 2; returns of training (100 + 200) / 2 and
  # (120 + 300) / 2.
  assert (
    '| m_iq | 2 | 20 | 250.0 ± 70.7 | 180.0 ± 42.4 | 500.0 ± 141.4 | 150.0 ± 70.7 | '
    '+300% (+500%, +100%) | 0.020 ± 0.014 |  |'
  ) in page
  # (30 - -40) / |-40|.
  assert (
    '| m_iq advantage_bound=10 | 1 | 20 | 60.0 | 55.0 | 30.0 | -40.0 | +175% | 1.000 | '
    '-125 |'
  ) in page
  with open(tmp_path / 'out' / 'overestimation_Hopper-v4.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 9
  assert (rows[5]['seed'], rows[5]['step'], rows[5]['mode_initial_value']) == (
    '1',
    '20',
    '400.0',
  )


def test_leads_are_over_the_fewest_changes_and_labels_lack_what_all_have(tmp_path):
  small = {'batch_size': 64}
  variants = (
    Variant('m_iq', {**BOUND.overrides, **small}),
    Variant('sac', small),
    Variant('m_iq', small),
  )
  for variant, level in zip(variants, (2, 1, 4)):
    for seed in (0, 1):
      rows = [(0, 1, 1, 1), *[(100 * level + seed, 1, 1, 1)] * 2]
      if variant.algorithm == 'sac':  # It writes no entropy.
        rows = [row[:3] for row in rows]
      write_run(tmp_path, variant, rows, seed)
  studies = [Study('Small', (HOPPER,), variants, num_seeds=2, num_steps=20)]
  found, planned = overestimation.load_plan(tmp_path, studies)
  overestimation.write_all(found, str(tmp_path / 'small'), planned)
  page = (tmp_path / 'small_Hopper-v4.md').read_text()
  leads = [line.split('|')[1::9] for line in page.splitlines() if ' seeds ' not in line]
  # One of the six ways to deal four seeds out.
  assert [lead for lead in leads if len(lead) > 1][1:] == [
    [' m_iq advantage_bound=10 ', ' -200 (p 0.167) '],
    [' sac ', ' -300 (p 0.167) '],
    [' m_iq ', '  '],
  ]
  assert 'less that of `m_iq`' in page
  assert '6 of 6 runs are finished and shown. All have batch_size=64.' in page


@pytest.mark.parametrize('kind', ['conditional', 'base_normal', None])
def test_entropy_is_the_familys_own(tmp_path, kind):
  # A plan's runs, and the same by their folders.
  variant = Variant('m_iq_autoregressive')
  row, expected = ((1, 2, 3), np.nan) if kind is None else ((1, 2, 3, 0.5), 0.5)
  write_run(tmp_path, variant, [row] * 3, entropy=f'mode_{kind}_entropy_per_dim')
  assessed = overestimation.load(tmp_path, HOPPER, variant, 20)
  folders = overestimation.load_folders([f'{tmp_path}/*/*/seed_0'])
  for found in (assessed, folders[HOPPER]['m_iq_autoregressive']):
    entropy = found[overestimation.ENTROPY].values
    np.testing.assert_array_equal(entropy, [[expected] * 3])


def test_todays_is_the_shortest_of_the_names_that_runs_call_themselves_by(root):
  assessed = overestimation.load(root, HOPPER, TODAY, 20)
  lines = dict.fromkeys(('m_iq-advantage_bound=1_from_sac', 'm_iq_from_sac'), assessed)
  table = overestimation.make_table(HOPPER, lines, '')
  assert 'less that of `m_iq_from_sac`' in table.notes[-1]


def test_excess_is_of_each_seed_and_step(root):
  assessed = overestimation.load(root, HOPPER, TODAY, 20)
  expected = [[-1, 210, 500], [-1, 120, 200]]
  np.testing.assert_array_equal(overestimation.excess(assessed), expected)


def test_picture_is_drawn(root, tmp_path):
  write_all(root, tmp_path)
  assert (tmp_path / 'overestimation_Hopper-v4.png').stat().st_size > 10_000


def test_no_finished_run_is_said(tmp_path):
  with pytest.raises(ValueError, match='No run of 1 studies is finished'):
    overestimation.load_plan(str(tmp_path), STUDIES)


def test_folders_are_lines_by_what_they_call_their_algorithm(root, tmp_path, capsys):
  pattern = os.path.join(root, 'gym_Hopper-v4', '*', 'seed_*')
  for folder in glob.glob(pattern):
    path = os.path.join(folder, 'config.json')
    config = files.read_json(path)
    name = 'bounded' if config['agent']['advantage_bound'] else 'plain'
    files.write_json(path, {**config, 'algorithm': name})
  options = [f'--runs={pattern}', f'--output_dir={tmp_path}', '--stem=tandem']
  assert run(*options) == 0
  assert '.csv, .md, .png: Runs shown: 4.' in capsys.readouterr().out
  page = (tmp_path / 'tandem_Hopper-v4.md').read_text()
  assert '| plain | 2 | 20 | 250.0 ± 70.7 |' in page
  # Cut to the shorter of its two.
  assert '| bounded | 2 | 10 | 50.0 ± 0.0 |' in page
  assert (tmp_path / 'tandem_Hopper-v4.png').exists()


def test_two_folders_of_one_line_and_seed_are_refused(root, capsys):
  # Both variants are m_iq to their folders: neither may hide the other.
  pattern = os.path.join(root, 'gym_Hopper-v4', '*', 'seed_*')
  assert run(f'--runs={pattern}') == 2
  assert 'are both m_iq on gym:Hopper-v4 with seed 0' in capsys.readouterr().err


def run(*options):
  module = overestimation
  return parsing.run(module.main, module.FLAGS, module.__doc__, options)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ((), 'Give --root, of a plan, or --runs'),
    (('--root=x', '--runs=y'), 'Give --root, of a plan, or --runs'),
    (('--runs=no/such/*',), 'No evaluations of a run are in no/such/*.'),
  ],
)
def test_bad_flags_are_refused(options, message, capsys):
  assert run(*options) == 2
  assert message in capsys.readouterr().err
