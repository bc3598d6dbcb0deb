"""Figures, tables, export and random scores, from runs written by hand."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from experiments import paper_data, paper_figures, plans, random_scores
from experiments.paper_settings import Variant

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHEETAH, HOPPER = 'gym:HalfCheetah-v4', 'gym:Hopper-v4'
RANDOM = {CHEETAH: -100.0, HOPPER: 0.0, 'adroit:door': -50.0}


def _write(root, task, variant, returns, *, seed=0, success=False):
  """Writes a run's evaluations: returns at 0, 10, 20, ... steps."""
  run = plans.make_run(task, variant, seed, 1)
  folder = os.path.join(root, run.folder)
  os.makedirs(folder)
  with open(os.path.join(folder, 'config.json'), 'w') as file:
    json.dump({'env_name': task, 'algorithm': run.algorithm, 'seed': seed}, file)
  with open(os.path.join(folder, 'versions.json'), 'w') as file:
    json.dump([{'commit': f'c{seed}', 'packages': {'mujoco': '3.0'}}], file)
  steps = (len(returns) - 1) * 10
  with open(os.path.join(folder, 'summary.json'), 'w') as file:
    json.dump({'actor_steps': steps, 'finished': True}, file)
  with open(os.path.join(folder, 'eval.csv'), 'w') as file:
    file.write('actor_steps,learner_steps,steps_per_second,mode_return_mean')
    file.write(',mode_success' * success + '\n')
    for i, value in enumerate(returns):
      file.write(f'{10 * i},0,100,{value}' + f',{i / 10}' * success + '\n')
  return folder


@pytest.fixture
def root(tmp_path):
  """SAC reaches 300 on HalfCheetah, 200 on Hopper; IQ ran on the first only."""
  path = str(tmp_path / 'runs')
  for seed, last in enumerate((290.0, 310.0)):
    _write(path, CHEETAH, Variant('sac'), [-100, 100, last], seed=seed)
    _write(path, CHEETAH, Variant('m_iq'), [-100, 0, last - 200], seed=seed)
    _write(path, HOPPER, Variant('sac'), [0, 100, 200], seed=seed)
    _write(path, HOPPER, Variant('m_iq'), [0, 100, 50], seed=seed)
  _write(path, CHEETAH, Variant('iq'), [-100, 100, 500, 900])
  _write(path, CHEETAH, Variant('iq', {'temperature': 0.1}), [-100, -50, 0])
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
    _write(root, 'adroit:door', Variant(name), [-50, 0, 50], success=True)
  lines = paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['success_adroit'])
  assert lines == [f'{tmp_path / "success_adroit"}.png, .csv, .md']
  assert _scores(tmp_path / 'success_adroit.csv', 'sac', 'mean') == [0.0, 0.1, 0.2]


def test_task_without_a_scale_is_left_out_and_says_why(root, tmp_path):
  _write(root, 'adroit:door', Variant('sac'), [-50, -50, -60])
  _write(root, 'adroit:door', Variant('m_iq'), [-50, 0, 50])
  _write(root, 'adroit:pen', Variant('m_iq'), [0, 0, 0])
  lines = paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure3'])
  assert any('adroit:door is left out: sac ends at -60.0' in line for line in lines)
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


def test_unknown_figure_and_column_are_refused(root, tmp_path):
  with pytest.raises(ValueError, match="no figure 'figure7'"):
    paper_figures.draw_all(root, str(tmp_path), RANDOM, names=['figure7'])
  with pytest.raises(ValueError, match="no column 'reward'"):
    paper_data.load_curves(root, CHEETAH, Variant('sac'), 'reward')


def _paper(*arguments):
  return subprocess.run(
    [sys.executable, 'experiments/paper.py', *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=240,
  )


def test_export_copies_the_small_files_of_finished_runs(root, tmp_path):
  exported = tmp_path / 'exported'
  result = _paper(
    'export', 'block1', f'--root={root}', f'--exported={exported}', '--steps=20'
  )
  assert result.returncode == 0, result.stderr
  # Three of iq, m_iq and sac's seeds each are in the plan; two, two and one are there.
  assert '5 of 18 runs are exported, 0 were there' in result.stdout
  folder = exported / 'gym_HalfCheetah-v4' / 'sac' / 'seed_1'
  assert sorted(os.listdir(folder)) == [
    'config.json',
    'eval.csv',
    'summary.json',
    'versions.json',
  ]
  source = pathlib.Path(root) / 'gym_HalfCheetah-v4' / 'sac' / 'seed_1'
  assert (folder / 'eval.csv').read_text() == (source / 'eval.csv').read_text()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['draw'], "'draw'"),
    (['plan', 'figure9'], 'figure9'),
    (['run'], 'Say which plans'),
    (['run', 'block1', '--workers=4096'], 'workers is 4096'),
    (['run', 'block2', '--algorithms=td3'], 'td3'),
    (['plan', '--tasks=HalfCheeta'], 'HalfCheeta'),
    (['plan', '--steps=0'], 'steps is 0'),
    (['plot', '--algorithms=sacc'], 'sacc'),
  ],
)
def test_bad_command_is_refused_in_words(arguments, message):
  result = _paper(*arguments)
  assert result.returncode == 2
  assert message in result.stderr and 'Traceback' not in result.stderr


def test_exported_runs_are_not_run_again_on_a_machine_that_has_not_made_them(
  root, tmp_path
):
  exported, elsewhere = f'--exported={tmp_path / "exported"}', tmp_path / 'elsewhere'
  budget = ['block2', '--algorithms=sac', '--steps=20', '--seeds=1']
  assert _paper('export', *budget, f'--root={root}', exported).returncode == 0
  result = _paper('run', *budget, f'--root={elsewhere}', exported, '--workers=1')
  assert result.returncode == 0, result.stderr
  assert '1 of 1 runs done' in result.stdout
  assert not elsewhere.exists()
  # More steps than were exported are to be run.
  result = _paper('plan', *budget, f'--root={elsewhere}', exported, '--steps=30')
  assert 'left: 1 runs' in result.stdout


def test_export_does_not_replace_a_run_by_a_shorter_one(root, tmp_path):
  exported = tmp_path / 'exported'
  folder = pathlib.Path(_write(exported, HOPPER, Variant('sac'), [1.0] * 9))
  config = json.loads((folder / 'config.json').read_text())
  (folder / 'config.json').write_text(json.dumps({**config, 'num_steps': 80}))
  before = (folder / 'eval.csv').read_text()
  result = _paper(
    'export',
    'block2',
    '--algorithms=sac',
    '--seeds=1',
    '--steps=20',
    f'--root={root}',
    f'--exported={exported}',
  )
  assert '0 of 1 runs are exported, 1 were there' in result.stdout
  assert (folder / 'eval.csv').read_text() == before


def test_seed_that_has_hardly_begun_does_not_cut_the_others(tmp_path):
  _write(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0, 2.0, 3.0], seed=0)
  _write(tmp_path, HOPPER, Variant('iq'), [5.0], seed=1)
  curves = paper_data.load_curves(
    str(tmp_path), HOPPER, Variant('iq'), 'mode_return_mean'
  )
  assert curves.seeds == (0,) and list(curves.steps) == [0, 10, 20, 30]


def test_task_without_a_scale_at_the_shared_step_is_named(tmp_path):
  _write(tmp_path, HOPPER, Variant('sac'), [0.0, -5.0, 9.0])
  _write(tmp_path, HOPPER, Variant('iq'), [0.0, 1.0])
  lines = paper_figures.draw_all(
    str(tmp_path), str(tmp_path / 'out'), RANDOM, names=['figure2']
  )
  assert any('not drawn: figure2: gym:Hopper-v4 at 10 steps' in line for line in lines)


def test_plan_prints_runs_hours_and_what_is_done(root, tmp_path):
  result = _paper(
    'plan',
    'block2',
    f'--root={root}',
    f'--exported={tmp_path}',
    '--steps=20',
    '--seeds=1',
  )
  assert result.returncode == 0
  (line,) = (line for line in result.stdout.splitlines() if ' sac ' in line)
  assert '1 x         20  1 done' in line
  assert '3 runs' in result.stdout and 'left: 1 runs' in result.stdout


def test_random_scores_are_of_uniform_actions_within_the_bounds():
  from dm_env import specs

  spec = specs.BoundedArray((2,), np.float32, [-1.0, 0.0], [1.0, 10.0])
  actor = random_scores.UniformActor(spec, seed=0)
  actions = np.array([actor.select_action(None) for _ in range(4000)])
  assert actions.dtype == np.float32
  np.testing.assert_allclose(actions.mean(axis=0), [0.0, 5.0], atol=0.2)
  np.testing.assert_allclose(actions.min(axis=0), [-1.0, 0.0], atol=0.05)
  np.testing.assert_allclose(actions.max(axis=0), [1.0, 10.0], atol=0.05)


def test_random_score_of_a_task_says_where_it_comes_from():
  entry = random_scores.measure('gym:Pendulum-v1', num_episodes=3, seed=0)
  assert -2000 < entry['return_mean'] < -500
  assert entry['standard_error'] == pytest.approx(entry['return_std'] / np.sqrt(3))
  assert entry['environment_id'] == 'gym:Pendulum-v1' and entry['episodes'] == 3
  assert entry == random_scores.measure('gym:Pendulum-v1', num_episodes=3, seed=0)


def test_committed_random_scores_are_near_published_ones():
  with open(random_scores.PATH) as file:
    measured = json.load(file)
  # MR.Q, appendix B.3, and D4RL's reference scores.
  published = {
    HOPPER: 18.8,
    'gym:Walker2d-v4': 2.8,
    CHEETAH: -289.4,
    'gym:Ant-v4': -70.3,
    'gym:Humanoid-v4': 120.4,
    'adroit:door': -56.5,
    'adroit:hammer': -274.9,
    'adroit:pen': 96.3,
  }
  assert measured.keys() == published.keys()
  for task, value in published.items():
    error = measured[task]['standard_error']
    assert abs(measured[task]['return_mean'] - value) < 4 * error + 1, task
    assert measured[task]['packages']['mujoco']
