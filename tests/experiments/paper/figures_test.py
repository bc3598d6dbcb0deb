"""Figures and tables, from runs written by hand."""

import functools
import json
import os

import numpy as np
import pytest
from matplotlib import image
from written_runs import (
  CHEETAH,
  HOPPER,
  RANDOM,
  read_column,
  read_rows,
  write_run,
)

from experiments.paper import data, figures
from experiments.paper.settings import Variant


def test_pictures_are_drawn_without_a_display(root, tmp_path, monkeypatch):
  monkeypatch.delenv('DISPLAY', raising=False)
  figures.draw_all(data.Source(root), str(tmp_path), RANDOM)
  for name in ('figure2', 'figure4', 'curves_gym'):
    picture = image.imread(tmp_path / f'{name}.png')
    assert picture.std() > 0.05
    # Its lines have colours; axes and text are grey.
    assert (np.ptp(picture[..., :3], axis=-1) > 0.3).sum() > 500


def test_iq_and_m_iq_alone_are_no_sweep_of_the_coefficient(tmp_path):
  for name in ('iq', 'm_iq'):
    write_run(tmp_path, HOPPER, Variant(name), [0, 1])
  (line,) = figures.draw_all(
    data.Source(str(tmp_path)), str(tmp_path / 'out'), RANDOM, names=['coefficient']
  )
  assert line.startswith('not drawn: coefficient')


def test_sweep_has_a_line_for_each_value_that_was_run(root, tmp_path):
  figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure4'])
  rows = read_rows(tmp_path / 'figure4.csv')
  assert {(row['task'], row['variant']) for row in rows} == {
    (CHEETAH, 'iq temperature=0.01'),
    (CHEETAH, 'iq temperature=0.1'),
  }
  # In words both are compared where both are, at 20; the file has all.
  assert '900' not in (tmp_path / 'figure4.md').read_text()
  assert max(float(row['mean']) for row in rows) == 900.0


def test_success_rates_are_drawn_for_adroit(root, tmp_path):
  for name in ('m_iq', 'sac'):
    write_run(root, 'adroit:door', Variant(name), [-50, 0, 50], success=True)
  lines = figures.draw_all(
    data.Source(root), str(tmp_path), RANDOM, names=['success_adroit']
  )
  assert lines == [f'{tmp_path / "success_adroit"}.png, .csv, .md']
  assert read_column(tmp_path / 'success_adroit.csv', 'sac', 'mean') == [0.0, 0.1, 0.2]


def test_budget_leaves_out_runs_that_have_not_reached_it(root, tmp_path):
  figures.draw_all(
    data.Source(root, last_step=20), str(tmp_path), RANDOM, names=['curves_gym']
  )
  assert 'iq' in {row['variant'] for row in read_rows(tmp_path / 'curves_gym.csv')}
  lines = figures.draw_all(
    data.Source(root, last_step=30), str(tmp_path), RANDOM, names=['curves_gym']
  )
  (line,) = lines
  assert line.startswith('not drawn: curves_gym: no task with two lines to compare')
  assert '(png, csv, md of an earlier time are still there)' in line


def test_unknown_column_is_refused(root):
  with pytest.raises(ValueError, match="no column 'reward'"):
    data.load_curves(root, CHEETAH, Variant('sac'), 'reward')


def test_seed_that_has_hardly_begun_does_not_cut_the_others(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0, 2.0, 3.0], seed=0)
  write_run(tmp_path, HOPPER, Variant('iq'), [5.0], seed=1)
  curves = data.load_curves(str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean')
  assert curves.seeds == (0,) and list(curves.steps) == [0, 10, 20, 30]


def test_evaluations_of_distributed_runs_count_at_the_steps_they_were_due(tmp_path):
  for seed, steps in enumerate(([0, 25, 30, 43], [0, 20, 24, 43])):
    folder = write_run(tmp_path, HOPPER, Variant('iq'), [0.0], seed=seed)
    config = {
      'env_name': HOPPER,
      'algorithm': 'iq',
      'seed': seed,
      'distributed': True,
      'evaluation_period': 10_000,
      'num_steps': 43_000,
    }
    with open(os.path.join(folder, 'config.json'), 'w') as file:
      json.dump(config, file)
    with open(os.path.join(folder, 'eval.csv'), 'w') as file:
      file.write('actor_steps,mode_return_mean\n')
      file.writelines(f'{s}000,{v}\n' for s, v in zip(steps, (0.0, 5.0, 12.0, 20.0)))
  curves = data.load_curves(str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean')
  # Due at 20 and late; twice near 20, of which the first counts; and the last step.
  assert list(curves.steps) == [0, 20_000, 43_000]
  np.testing.assert_array_equal(curves.values, [[0, 5, 20], [0, 5, 20]])


def test_folder_that_was_moved_aside_does_not_count(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0], seed=0)
  folder = write_run(tmp_path, HOPPER, Variant('iq'), [0.0, -9.0], seed=1)
  os.rename(folder, folder.replace('seed_1', 'seed_0_old'))
  os.rename(folder.replace('seed_1', 'seed_0'), folder)  # Nor one of another seed.
  load = functools.partial(
    data.load_curves, str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  assert load() is None
  os.rename(folder, folder.replace('seed_1', 'seed_0'))
  np.testing.assert_array_equal(load().values, [[0.0, 1.0]])


def test_with_a_budget_a_seed_that_went_further_drops_no_other(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0] * 9, seed=0)
  for seed in (1, 2):
    write_run(tmp_path, HOPPER, Variant('iq'), [5.0, 6.0], seed=seed)
  load = functools.partial(
    data.load_curves, str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  assert load(last_step=10).seeds == (0, 1, 2)
  # 80 steps of one are more than 10 of three.
  assert load().seeds == (0,)
  assert load().left_out == ('seed 1 (10 steps)', 'seed 2 (10 steps)')


def test_seeds_that_are_half_as_long_count_where_they_are_many(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0] * 6, seed=0)
  for seed in (1, 2):
    write_run(tmp_path, HOPPER, Variant('iq'), [5.0, 6.0, 7.0], seed=seed)
  curves = data.load_curves(str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean')
  # 20 steps of three are more than 50 of one.
  assert curves.seeds == (0, 1, 2) and curves.left_out == ()
  assert list(curves.steps) == [0, 10, 20]


def test_seeds_that_are_left_out_are_named(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0] * 6, seed=0)
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0] * 2, seed=1)
  write_run(tmp_path, HOPPER, Variant('m_iq'), [0.0] * 6, seed=0)
  figures.draw_all(
    data.Source(str(tmp_path)), str(tmp_path), RANDOM, names=['curves_gym']
  )
  page = (tmp_path / 'curves_gym.md').read_text()
  assert f'- {HOPPER} iq is without seed 1 (10 steps).' in page


def test_all_lines_of_a_task_are_summed_up_at_one_step(tmp_path):
  for variant, steps in ((Variant('iq'), (0, 10, 15)), (Variant('sac'), (0, 10, 20))):
    folder = write_run(tmp_path / 'runs', CHEETAH, variant, [0.0])
    with open(os.path.join(folder, 'eval.csv'), 'w') as file:
      file.write('actor_steps,mode_return_mean\n')
      file.writelines(f'{step},{100 + step}\n' for step in steps)
  out = tmp_path / 'out'
  figures.draw_all(
    data.Source(str(tmp_path / 'runs')), str(out), RANDOM, names=['curves_gym']
  )
  page = (out / 'curves_gym.md').read_text()
  assert page.count('| 10 | 110.0 |') == 2


def test_mean_over_training_leaves_out_what_is_before_it_and_no_more():
  curves = data.Curves(
    np.array([10, 20]), np.array([[5.0, 7.0]]), seeds=(0,), folders=('x',)
  )
  np.testing.assert_array_equal(data.over_training(curves), [6.0])
