"""Figures and tables, from runs written by hand."""

import csv
import functools
import json
import os

import numpy as np
import pytest
from matplotlib import image
from written_runs import CHEETAH, HOPPER, write_run, write_runs

from experiments import paper_data, paper_figures
from experiments.paper_settings import Variant

RANDOM = {CHEETAH: -100.0, HOPPER: 0.0, 'adroit:door': -50.0}


@pytest.fixture
def root(tmp_path):
  path = str(tmp_path / 'runs')
  write_runs(path)
  return path


def _rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def _scores(path, variant, column):
  return [float(row[column]) for row in _rows(path) if row['variant'] == variant]


def test_scores_by_hand(root, tmp_path):
  lines = paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure2'])
  assert lines == [
    f'{tmp_path / name}.png, .csv, .md' for name in ('figure2', 'figure2_all_tasks')
  ]
  # All three have HalfCheetah and its seed 0, and there steps 0 to 20; 100 is 300.
  path = tmp_path / 'figure2.csv'
  assert _scores(path, 'iq', 'mean') == [0.0, 50.0, 150.0]
  assert _scores(path, 'm_iq', 'mean') == [0.0, 25.0, 47.5]
  assert _scores(path, 'sac', 'iqm') == [0.0, 50.0, 97.5]
  # Both tasks have M-IQ and SAC with two seeds: 47.5 and 52.5 beside 25.
  path = tmp_path / 'figure2_all_tasks.csv'
  assert {row['variant'] for row in _rows(path)} == {'m_iq', 'sac'}
  assert _scores(path, 'm_iq', 'mean')[-1] == pytest.approx(37.5)
  assert _scores(path, 'm_iq', 'median')[-1] == pytest.approx(37.5)
  assert _scores(path, 'm_iq', 'seed_std')[-1] == pytest.approx(np.sqrt(3.125))
  assert {row['seeds'] for row in _rows(path)} == {'2'}


def test_page_names_what_it_was_made_of(root, tmp_path):
  paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure2'])
  page = (tmp_path / 'figure2_all_tasks.md').read_text()
  for expected in (
    '20 steps',
    f'{CHEETAH}: -100.0 and 300.0',
    f'environments: {HOPPER}, {CHEETAH}',
    'seeds: every line: 0, 1',
    'commit: c0, c1',
    'mujoco: 3.0',
    'command: `python ',
    '| m_iq | 37.5 | 1.8 | 37.5 |',
  ):
    assert expected in page


def test_pictures_are_drawn_without_a_display(root, tmp_path, monkeypatch):
  monkeypatch.delenv('DISPLAY', raising=False)
  paper_figures.draw_all(root, str(tmp_path), RANDOM)
  for name in ('figure2', 'figure4', 'curves_gym'):
    picture = image.imread(tmp_path / f'{name}.png')
    assert picture.std() > 0.05
    # Its lines have colours; axes and text are grey.
    assert (np.ptp(picture[..., :3], axis=-1) > 0.3).sum() > 500


def test_sweep_has_a_line_for_each_value_that_was_run(root, tmp_path):
  paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure4'])
  rows = _rows(tmp_path / 'figure4.csv')
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
  lines = paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['success_adroit'])
  assert lines == [f'{tmp_path / "success_adroit"}.png, .csv, .md']
  assert _scores(tmp_path / 'success_adroit.csv', 'sac', 'mean') == [0.0, 0.1, 0.2]


def test_task_without_a_scale_is_left_out_and_says_why(root, tmp_path):
  write_run(root, 'adroit:door', Variant('sac'), [-50, -50, -60])
  write_run(root, 'adroit:door', Variant('m_iq'), [-50, 0, 50])
  write_run(root, 'adroit:pen', Variant('m_iq'), [0, 0, 0])
  lines = paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure3'])
  assert any('adroit:door is left out: sac is at -60.0' in line for line in lines)
  assert any('adroit:pen is left out: no random score' in line for line in lines)
  assert not os.path.exists(tmp_path / 'figure3.png')


def test_budget_leaves_out_runs_that_have_not_reached_it(root, tmp_path):
  paper_figures.draw_all(
    root, str(tmp_path), RANDOM, names=['curves_gym'], last_step=20
  )
  assert 'iq' in {row['variant'] for row in _rows(tmp_path / 'curves_gym.csv')}
  lines = paper_figures.draw_all(
    root, str(tmp_path), RANDOM, names=['curves_gym'], last_step=30
  )
  assert lines == ['not drawn: curves_gym: no task with two lines to compare']


def test_unknown_column_is_refused(root):
  with pytest.raises(ValueError, match="no column 'reward'"):
    paper_data.load_curves(root, CHEETAH, Variant('sac'), 'reward')


def test_seed_that_has_hardly_begun_does_not_cut_the_others(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0, 2.0, 3.0], seed=0)
  write_run(tmp_path, HOPPER, Variant('iq'), [5.0], seed=1)
  curves = paper_data.load_curves(
    str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  assert curves.seeds == (0,) and list(curves.steps) == [0, 10, 20, 30]


def test_task_without_a_scale_at_the_shared_step_is_named(tmp_path):
  write_run(tmp_path, HOPPER, Variant('sac'), [0.0, -5.0, 9.0])
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0])
  lines = paper_figures.draw_all(
    str(tmp_path), str(tmp_path / 'out'), RANDOM, names=['figure2']
  )
  problem = 'gym:Hopper-v4 is left out: sac is at -5.0 after 10 steps'
  assert any(problem in line for line in lines)


def test_evaluations_of_distributed_runs_count_at_the_steps_they_were_due(tmp_path):
  for seed, steps in enumerate(([0, 25, 30, 43], [0, 20, 24, 43])):
    folder = write_run(tmp_path, HOPPER, Variant('iq'), [0.0], seed=seed)
    config = {
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
  curves = paper_data.load_curves(
    str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  # Due at 20 and late; twice near 20, of which the first counts; and the last step.
  assert list(curves.steps) == [0, 20_000, 43_000]
  np.testing.assert_array_equal(curves.values, [[0, 5, 20], [0, 5, 20]])


def test_folder_that_was_moved_aside_does_not_count(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0], seed=0)
  folder = write_run(tmp_path, HOPPER, Variant('iq'), [0.0, -9.0], seed=1)
  os.rename(folder, folder.replace('seed_1', 'seed_0_old'))
  os.rename(folder.replace('seed_1', 'seed_0'), folder)  # Nor one of another seed.
  load = functools.partial(
    paper_data.load_curves, str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  assert load() is None
  os.rename(folder, folder.replace('seed_1', 'seed_0'))
  np.testing.assert_array_equal(load().values, [[0.0, 1.0]])


def test_with_a_budget_a_seed_that_went_further_drops_no_other(tmp_path):
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0] * 9, seed=0)
  for seed in (1, 2):
    write_run(tmp_path, HOPPER, Variant('iq'), [5.0, 6.0], seed=seed)
  load = functools.partial(
    paper_data.load_curves, str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  assert load(last_step=10).seeds == (0, 1, 2)
  assert load().seeds == (0,)


def test_all_lines_of_a_task_are_summed_up_at_one_step(tmp_path):
  for variant, steps in ((Variant('iq'), (0, 10, 15)), (Variant('sac'), (0, 10, 20))):
    folder = write_run(tmp_path / 'runs', CHEETAH, variant, [0.0])
    with open(os.path.join(folder, 'eval.csv'), 'w') as file:
      file.write('actor_steps,mode_return_mean\n')
      file.writelines(f'{step},{100 + step}\n' for step in steps)
  out = tmp_path / 'out'
  paper_figures.draw_all(str(tmp_path / 'runs'), str(out), RANDOM, names=['curves_gym'])
  page = (out / 'curves_gym.md').read_text()
  assert page.count('| 10 | 110.0 |') == 2


def test_mean_over_training_leaves_out_what_is_before_it_and_no_more():
  curves = paper_data.Curves(
    np.array([10, 20]), np.array([[5.0, 7.0]]), seeds=(0,), folders=('x',)
  )
  np.testing.assert_array_equal(paper_data.over_training(curves), [6.0])


def test_figure_of_all_tasks_goes_when_every_task_has_every_line(root, tmp_path):
  paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure2'])
  assert (tmp_path / 'figure2_all_tasks.png').exists()
  for seed in range(2):  # What was missing.
    write_run(root, HOPPER, Variant('iq'), [0, 100, 50], seed=seed)
  paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure2'])
  names = os.listdir(tmp_path)
  assert not [name for name in names if 'all_tasks' in name] and 'figure2.md' in names
