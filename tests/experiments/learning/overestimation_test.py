"""Over-estimation of tiny runs written by hand."""

import csv
import json
import os

import numpy as np
import pytest

from experiments.learning import overestimation
from experiments.paper import plans
from experiments.paper.settings import Study, Variant

HOPPER = 'gym:Hopper-v4'
TODAY = Variant('m_iq')
BOUND = Variant('m_iq', {'advantage_bound': 10.0})
STUDIES = [Study('Remedies', (HOPPER,), (TODAY, BOUND), num_seeds=2, num_steps=20)]


def write_run(root, variant, rows, seed=0):
  """Rows are (return, V, discounted return, entropy) at 0, 10, 20 steps."""
  run = plans.make_run(HOPPER, variant, seed, 20)
  folder = os.path.join(root, run.folder)
  os.makedirs(folder)
  with open(os.path.join(folder, 'config.json'), 'w') as file:
    json.dump(
      {
        'env_name': HOPPER,
        'algorithm': run.algorithm,
        'seed': seed,
        'agent': dict(run.overrides),
      },
      file,
    )
  with open(os.path.join(folder, 'eval.csv'), 'w') as file:
    file.write('actor_steps,mode_return_mean,mode_initial_value,')
    file.write('mode_discounted_return,mode_policy_entropy_per_dim\n')
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


def test_table_by_hand_leaves_out_what_is_not_finished(root, tmp_path):
  output = str(tmp_path / 'out')
  (line,) = overestimation.write_all(root, output, STUDIES)
  assert line.endswith('.csv, .md, .png: 3 of 4 runs are finished and shown.')
  page = (tmp_path / 'out' / 'overestimation_Hopper-v4.md').read_text()
  # 500 / 100 and 200 / 200; (600 + 400) / 2; returns of training (100 + 200) / 2 and
  # (120 + 300) / 2.
  assert (
    '| m_iq | 2 | 20 | 250.0 ± 70.7 | 180.0 ± 42.4 | 500.0 ± 141.4 | 150.0 ± 70.7 | '
    '+300% (+500%, +100%) | 0.020 ± 0.014 |'
  ) in page
  # (30 - -40) / |-40|.
  assert (
    '| m_iq advantage_bound=10 | 1 | 20 | 60.0 | 55.0 | 30.0 | -40.0 | +175% | 1.000 |'
  ) in page
  with open(tmp_path / 'out' / 'overestimation_Hopper-v4.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 9
  assert (rows[5]['seed'], rows[5]['step'], rows[5]['mode_initial_value']) == (
    '1',
    '20',
    '400.0',
  )


def test_excess_is_of_each_seed_and_step(root):
  assessed = overestimation.load(root, HOPPER, TODAY, 20)
  np.testing.assert_array_equal(assessed.excess, [[-1, 210, 500], [-1, 120, 200]])


def test_picture_is_drawn(root, tmp_path):
  overestimation.write_all(root, str(tmp_path), STUDIES)
  assert (tmp_path / 'overestimation_Hopper-v4.png').stat().st_size > 10_000


def test_no_finished_run_is_said(tmp_path):
  with pytest.raises(ValueError, match='No run of 1 studies is finished'):
    overestimation.write_all(str(tmp_path), str(tmp_path), STUDIES)
