"""Figures of scores: what is comparable, on what scale, and what is left out."""

import functools
import os

import numpy as np
import pytest
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


@pytest.fixture
def draw(tmp_path):
  return functools.partial(
    figures.draw_all, data.Source(str(tmp_path)), str(tmp_path / 'out'), RANDOM
  )


def test_scores_by_hand(root, tmp_path):
  lines = figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure2'])
  assert lines == [
    f'{tmp_path / name}.png, .csv, .md' for name in ('figure2', 'figure2_all_tasks')
  ]
  # All three have HalfCheetah and its seed 0, and there steps 0 to 20; 100 is 300.
  path = tmp_path / 'figure2.csv'
  assert read_column(path, 'iq', 'mean') == [0.0, 50.0, 150.0]
  assert read_column(path, 'm_iq', 'mean') == [0.0, 25.0, 47.5]
  assert read_column(path, 'sac', 'iqm') == [0.0, 50.0, 97.5]
  # Both tasks have M-IQ and SAC with two seeds: 47.5 and 52.5 beside 25.
  path = tmp_path / 'figure2_all_tasks.csv'
  assert {row['variant'] for row in read_rows(path)} == {'m_iq', 'sac'}
  assert read_column(path, 'm_iq', 'mean')[-1] == pytest.approx(37.5)
  assert read_column(path, 'm_iq', 'median')[-1] == pytest.approx(37.5)
  assert read_column(path, 'm_iq', 'seed_std')[-1] == pytest.approx(np.sqrt(3.125))
  assert {row['seeds'] for row in read_rows(path)} == {'2'}


def test_page_names_what_it_was_made_of(root, tmp_path):
  figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure2'])
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


def test_task_without_a_scale_is_left_out_and_says_why(root, tmp_path):
  write_run(root, 'adroit:door', Variant('sac'), [-50, -50, -60])
  write_run(root, 'adroit:door', Variant('m_iq'), [-50, 0, 50])
  write_run(root, 'adroit:pen', Variant('m_iq'), [0, 0, 0])
  lines = figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure3'])
  assert any('adroit:door is left out: sac is at -60.0' in line for line in lines)
  assert any('adroit:pen is left out: no random score' in line for line in lines)
  assert not os.path.exists(tmp_path / 'figure3.png')


def test_task_without_a_scale_at_the_shared_step_is_named(tmp_path):
  write_run(tmp_path, HOPPER, Variant('sac'), [0.0, -5.0, 9.0])
  write_run(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0])
  lines = figures.draw_all(
    data.Source(str(tmp_path)), str(tmp_path / 'out'), RANDOM, names=['figure2']
  )
  problem = 'gym:Hopper-v4 is left out: sac is at -5.0 after 10 steps'
  assert any(problem in line for line in lines)


def test_figure_of_all_tasks_goes_when_every_task_has_every_line(root, tmp_path):
  figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure2'])
  assert (tmp_path / 'figure2_all_tasks.png').exists()
  for seed in range(2):  # What was missing.
    write_run(root, HOPPER, Variant('iq'), [0, 100, 50], seed=seed)
  figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure2'])
  names = os.listdir(tmp_path)
  assert not [name for name in names if 'all_tasks' in name] and 'figure2.md' in names


def test_lines_of_mixed_budgets_say_what_they_leave_out(tmp_path, draw):
  for name in ('sac', 'm_iq'):
    for seed in range(2):
      write_run(tmp_path, HOPPER, Variant(name), [0, 50, 100, 400], seed=seed)
    write_run(tmp_path, CHEETAH, Variant(name), [-100, 0, 100])
  write_run(tmp_path, HOPPER, Variant('iq'), [0, 10, 20, 30])
  lines = draw(names=['figure2'])
  figure2, all_tasks = (tmp_path / 'out' / n for n in ('figure2', 'figure2_all_tasks'))
  assert lines == [f'{path}.png, .csv, .md' for path in (figure2, all_tasks)]
  page = figure2.with_suffix('.md').read_text()
  assert '# Figure 2: SAC-normalised scores on Gym, 30 steps' in page
  assert f'There is more, which not all lines have. {HOPPER}: seed 1.' in page
  page = all_tasks.with_suffix('.md').read_text()
  assert f'not all lines have. {HOPPER}: iq; seed 1; steps up to 30.' in page
  # At the step that is compared, and not at the baseline's own last one.
  assert '100 at sac after 20 steps, the mean over all of its seeds' in page
  assert f'{HOPPER}: 0.0 and 100.0; {CHEETAH}: -100.0 and 100.0' in page


def test_task_with_the_baseline_alone_costs_no_other_task(tmp_path, draw):
  for name in ('m_iq', 'sac'):
    write_run(tmp_path, CHEETAH, Variant(name), [-100, 100])
  write_run(tmp_path, HOPPER, Variant('sac'), [0, 100])
  lines = draw(names=['figure2'])
  assert lines == [
    f'figure2: {HOPPER} is left out: no run but of sac.',
    f'{tmp_path}/out/figure2.png, .csv, .md',
  ]


def test_task_with_most_lines_is_shown_where_no_task_has_all(tmp_path, draw):
  for name in ('m_iq', 'sac', 'pcl'):
    write_run(tmp_path, CHEETAH, Variant(name), [-100, 100])
  for name in ('m_iq', 'sac', 'iq_gaussian', 'iq'):
    write_run(tmp_path, HOPPER, Variant(name), [0, 100])
  draw(names=['figure2'])
  shown = {row['variant'] for row in read_rows(tmp_path / 'out' / 'figure2.csv')}
  assert shown == {'m_iq', 'sac', 'iq_gaussian', 'iq'}
  rows = read_rows(tmp_path / 'out' / 'figure2_all_tasks.csv')
  assert {row['variant'] for row in rows} == {'m_iq', 'sac'}
  assert {row['tasks'] for row in rows} == {f'{HOPPER} {CHEETAH}'}


def test_task_whose_scale_fails_where_all_are_compared_costs_no_other_task(
  tmp_path, draw
):
  for name in ('m_iq', 'sac'):
    write_run(tmp_path, HOPPER, Variant(name), [0, 0, 0, 900])
    write_run(tmp_path, CHEETAH, Variant(name), [-100, 0, 100])
  lines = draw(names=['figure2'])
  problem = f'figure2: {HOPPER} is left out: sac is at 0.0 after 20 steps'
  assert any(problem in line for line in lines)
  assert read_column(tmp_path / 'out' / 'figure2.csv', 'm_iq', 'mean') == [0, 50, 100]


@pytest.mark.parametrize(
  ('returns', 'std', 'is_drawn'),
  [
    # Of five episodes with a deviation of 20, the mean is known to 20 / 2 = 10.
    ([21.0], 20.0, True),
    ([19.0], 20.0, False),
    # Two seeds: to 10 / sqrt(2) = 7.1 by their episodes.
    ([15.0, 15.0], 20.0, True),
    ([14.0, 14.0], 20.0, False),
    # To |10 - 40| / 2 = 15 by the difference between the seeds.
    ([10.0, 40.0], 0.0, False),
    ([20.0, 48.0], 0.0, True),
  ],
)
def test_baseline_that_leads_by_chance_makes_no_scale(
  tmp_path, draw, returns, std, is_drawn
):
  for seed, value in enumerate(returns):
    for name in ('m_iq', 'sac'):
      write_run(tmp_path, HOPPER, Variant(name), [0, value], seed=seed, std=std)
  lines = draw(names=['figure2'])
  assert (tmp_path / 'out' / 'figure2.csv').exists() is is_drawn
  assert any('left out: sac is at' in line for line in lines) is not is_drawn


def test_figure_of_some_tasks_takes_none_away(root, tmp_path):
  figures.draw_all(data.Source(root), str(tmp_path), RANDOM, names=['figure2'])
  figures.draw_all(
    data.Source(root, tasks=['Hopper-v4']), str(tmp_path), RANDOM, names=['figure2']
  )
  assert (tmp_path / 'figure2_all_tasks.png').exists()


def test_few_scores_are_said_to_make_no_good_interval(tmp_path, draw):
  for seed in range(3):
    for name in ('m_iq', 'sac'):
      write_run(tmp_path, HOPPER, Variant(name), [0, 100 + seed], seed=seed)
  draw(names=['figure2'])
  page = (tmp_path / 'out' / 'figure2.md').read_text()
  assert 'Of so few scores (3) it is about their range' in page
  for name in ('m_iq', 'sac'):
    for seed in range(3):
      write_run(tmp_path, CHEETAH, Variant(name), [-100, 100 + seed], seed=seed)
  draw(names=['figure2'])
  assert 'so few' not in (tmp_path / 'out' / 'figure2.md').read_text()


def test_variant_has_one_colour_in_all_figures(tmp_path, draw, monkeypatch):
  colours = {}

  def note(axes, steps, center, low, high, index, label):
    colours.setdefault(label.partition(' ')[0], set()).add(index)

  monkeypatch.setattr('iq_acme.training.panels.draw_line', note)
  for task in (CHEETAH, 'adroit:door'):
    for name in ('m_iq', 'sac'):
      write_run(tmp_path, task, Variant(name), [-100, 100], success=True)
  write_run(tmp_path, HOPPER, Variant('iq'), [0, 1])
  write_run(tmp_path, HOPPER, Variant('sac'), [0, 1])
  draw(names=['figure2', 'figure3', 'curves_gym', 'curves_adroit', 'success_adroit'])
  assert colours == {'iq': {0}, 'm_iq': {1}, 'sac': {2}}
