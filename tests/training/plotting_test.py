import json
import os

import numpy as np
import pytest
from matplotlib import image

from iq_acme.commands import plot
from iq_acme.training import panels, plotting


def _write_run(folder, returns, *, seed=0, temperature=0.01, env='gym:A', name='m_iq'):
  os.makedirs(folder)
  config = {
    'env_name': env,
    'env_options': {},
    'algorithm': name,
    'seed': seed,
    'evaluation_episodes': 5,
    'agent': {'temperature': temperature, 'sizes': [8, 8]},
  }
  with open(os.path.join(folder, 'config.json'), 'w') as file:
    json.dump(config, file)
  with open(os.path.join(folder, 'eval.csv'), 'w') as file:
    file.write('actor_steps,mode_return_mean,mode_return_std,')
    file.write('sampled_return_mean,sampled_return_std\n')
    for step, value in returns.items():
      file.write(f'{step},{value},1.0,{value - 2},2.0\n')
  return str(folder)


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('config.json', '{}'),
    ('config.json', '[]'),
    ('config.json', '{"env_name": "x", "seed": 0}'),
    ('config.json', '{"env_name": "x", "algorithm": "iq", "seed": 0, "agent": [1]}'),
    ('eval.csv', 'step,mode_return_mean\n1,2\n'),
    ('eval.csv', 'actor_steps,mode_return_mean\n,2\n'),
  ],
)
def test_run_with_a_damaged_file_is_named(tmp_path, name, content):
  folder = _write_run(tmp_path / 'a', {0: 1.0})
  path = tmp_path / 'a' / name
  path.write_text(content)
  with pytest.raises(ValueError, match=str(path)):
    plotting.plot_runs([folder], str(tmp_path / 'x.png'), 'mode_return_mean')


def test_mean_and_spread_over_seeds_at_the_steps_that_all_have():
  curve = plotting.mean_over_seeds([{0: 1.0, 10: 2.0, 15: 9.0}, {0: 3.0, 10: 8.0}], 'x')
  np.testing.assert_array_equal(curve.steps, [0, 10])
  np.testing.assert_array_equal(curve.mean, [2.0, 5.0])
  np.testing.assert_array_equal(curve.spread, np.sqrt([2.0, 18.0]))
  assert curve.label == 'x (2 seeds)'


def test_runs_are_grouped_by_everything_but_their_seed(tmp_path):
  folders = [
    _write_run(tmp_path / 'a0', {0: 1.0}, seed=0),
    _write_run(tmp_path / 'a1', {0: 3.0}, seed=1),
    _write_run(tmp_path / 'b', {0: 5.0}, temperature=0.1),
    _write_run(tmp_path / 'c', {0: 7.0}, name='sac'),
    _write_run(tmp_path / 'd', {0: 9.0}, env='gym:B'),
  ]
  groups = plotting.group_runs(plotting.read_runs(folders, 'mode_return_mean'))
  assert groups == {
    ('gym:A', 'm_iq temperature=0.01'): [{0: 1.0}, {0: 3.0}],
    ('gym:A', 'm_iq temperature=0.1'): [{0: 5.0}],
    ('gym:A', 'sac'): [{0: 7.0}],
    ('gym:B', 'm_iq'): [{0: 9.0}],
  }


def test_settings_that_an_older_folder_does_not_name_are_their_defaults(tmp_path):
  old, new, other = (
    _write_run(tmp_path / name, {0: 1.0}, seed=seed)
    for seed, name in enumerate(('old', 'new', 'other'))
  )
  for folder, more in ((new, {'num_pairs': 1}), (other, {'num_pairs': 2})):
    path = os.path.join(folder, 'config.json')
    with open(path) as file:
      config = json.load(file)
    config['agent'].update(more)
    with open(path, 'w') as file:
      json.dump(config, file)
  groups = plotting.group_runs(
    plotting.read_runs([old, new, other], 'mode_return_mean')
  )
  assert groups == {
    ('gym:A', 'm_iq num_pairs=1'): [{0: 1.0}, {0: 1.0}],
    ('gym:A', 'm_iq num_pairs=2'): [{0: 1.0}],
  }


def test_distributed_seeds_meet_at_the_steps_their_evaluations_were_due_at(tmp_path):
  local = _write_run(tmp_path / 'local', {0: 1.0, 10: 2.0})
  folder = _write_run(tmp_path / 'far', {0: 1.0, 13: 3.0, 27: 4.0, 35: 5.0})
  with open(os.path.join(folder, 'config.json')) as file:
    config = json.load(file)
  config |= {'distributed': True, 'evaluation_period': 10, 'num_steps': 35}
  with open(os.path.join(folder, 'config.json'), 'w') as file:
    json.dump(config, file)
  assert plotting.group_runs(
    plotting.read_runs([local, folder], 'mode_return_mean')
  ) == {
    ('gym:A', 'm_iq distributed=False'): [{0: 1.0, 10: 2.0}],
    ('gym:A', 'm_iq distributed=True'): [{0: 1.0, 10: 3.0, 20: 4.0, 35: 5.0}],
  }


def test_curve_of_a_run_is_a_picture_in_its_folder(tmp_path):
  folder = _write_run(tmp_path / 'run', {0: 1.0, 10: 5.0})
  path = plotting.plot_curve(folder)
  assert path == os.path.join(folder, 'curve.png')
  assert image.imread(path).std() > 0.01
  assert sorted(os.listdir(folder)) == ['config.json', 'curve.png', 'eval.csv']


def test_run_without_evaluations_has_no_curve(tmp_path):
  folder = _write_run(tmp_path / 'run', {})
  assert plotting.plot_curve(folder) is None
  assert not os.path.exists(os.path.join(folder, 'curve.png'))


def test_overlay_has_one_panel_for_each_task(tmp_path):
  one = _write_run(tmp_path / 'a', {0: 1.0, 10: 5.0})
  two = _write_run(tmp_path / 'b', {0: 1.0, 10: 5.0}, env='gym:B')
  plotting.plot_runs([one], str(tmp_path / 'one.png'))
  plotting.plot_runs([one, two], str(tmp_path / 'two.png'))
  narrow = image.imread(tmp_path / 'one.png').shape
  wide = image.imread(tmp_path / 'two.png').shape
  assert wide[:2] == (narrow[0], 2 * narrow[1])


def test_nothing_to_draw_is_an_error(tmp_path, capsys):
  assert plot.run_command(['--runs=nowhere/*']) == 2
  assert "--runs is ['nowhere/*']; there is no such folder" in capsys.readouterr().err
  with pytest.raises(ValueError, match='nowhere'):
    plotting.plot_runs([str(tmp_path / 'nowhere')], str(tmp_path / 'x.png'))


def test_missing_column_is_named_with_those_there_are(tmp_path):
  folder = _write_run(tmp_path / 'run', {0: 1.0})
  with pytest.raises(ValueError, match=r"'success'.*sampled_return_mean"):
    plotting.plot_runs([folder], str(tmp_path / 'x.png'), 'success')


def test_the_same_run_twice_is_no_second_seed(tmp_path):
  folders = [_write_run(tmp_path / name, {0: 1.0}, seed=3) for name in ('a', 'b')]
  with pytest.raises(ValueError, match=r'a and .*b are both m_iq on gym:A with seed 3'):
    plotting.group_runs(plotting.read_runs(folders, 'mode_return_mean'))


def test_seeds_evaluated_at_different_steps_are_refused():
  with pytest.raises(ValueError, match='share no evaluations but those at steps'):
    plotting.mean_over_seeds([{0: 1.0, 10: 2.0}, {0: 1.0, 3: 2.0}], 'x')


def _drawn(monkeypatch, folders, path):
  """The panels of `plot_runs`, as they are written."""
  figures = []
  save = panels.save_figure
  monkeypatch.setattr(
    panels,
    'save_figure',
    lambda figure, to: (figures.append(figure), save(figure, to)),
  )
  plotting.plot_runs(folders, str(path))
  return figures[0].axes


def test_no_two_of_many_lines_look_the_same_and_the_legend_is_under_the_panel(
  tmp_path, monkeypatch
):
  folders = [
    _write_run(tmp_path / str(i), dict.fromkeys(range(40), i), temperature=i)
    for i in range(30)
  ]
  (axes,) = _drawn(monkeypatch, folders, tmp_path / 'x.png')
  lines = axes.get_lines()
  styles = {(k.get_color(), k.get_linestyle(), k.get_marker()) for k in lines}
  assert len(lines) == len(styles) == 30
  figure = axes.figure
  panel = axes.get_window_extent()
  texts = [text.get_window_extent() for text in axes.get_legend().get_texts()]
  assert all(text.y0 >= 0 and text.y1 < panel.y0 for text in texts)
  # The panel keeps its size: as high as that of one line, or nearly.
  (alone,) = _drawn(monkeypatch, folders[:1], tmp_path / 'y.png')
  assert panel.height > 0.85 * alone.get_window_extent().height
  assert figure.get_figheight() > alone.figure.get_figheight()


@pytest.mark.parametrize(
  ('seeds', 'title'), [((0,), ''), ((0, 1), 'band: std of seeds')]
)
def test_legend_speaks_of_a_band_if_a_line_has_one(tmp_path, monkeypatch, seeds, title):
  folders = [_write_run(tmp_path / f'{s}', {0: 1.0, 9: s}, seed=s) for s in seeds]
  folders.append(_write_run(tmp_path / 'other', {0: 1.0}, temperature=0.1))
  (axes,) = _drawn(monkeypatch, folders, tmp_path / 'x.png')
  assert axes.get_legend().get_title().get_text() == title


def _make_offline(folder):
  config = json.loads((folder / 'config.json').read_text())
  config |= {'counted_steps': 'learner_steps', 'demonstrations': {'name': folder.name}}
  (folder / 'config.json').write_text(json.dumps(config))
  table = folder / 'eval.csv'
  table.write_text(table.read_text().replace('actor_steps', 'learner_steps'))


def test_offline_runs_are_drawn_over_sgd_steps_and_apart_from_others(
  tmp_path, monkeypatch
):
  runs = [_write_run(tmp_path / name, {0: 1.0, 20: 2.0}) for name in 'abc']
  for name in 'ab':
    _make_offline(tmp_path / name)
  labels = []
  original = panels.label_axes

  def label_axes(axes, *args, **kwargs):
    original(axes, *args, **kwargs)
    labels.append(axes.get_xlabel())

  monkeypatch.setattr(panels, 'label_axes', label_axes)
  (tmp_path / 'empty').mkdir()
  plotting.plot_runs([*runs[:2], str(tmp_path / 'empty')], str(tmp_path / 'x.png'))
  plotting.plot_curve(runs[0])
  plotting.plot_runs(runs[2:], str(tmp_path / 'x.png'))
  assert labels == ['SGD steps', 'SGD steps', 'environment steps']
  assert sorted(
    plotting.group_runs(plotting.read_runs(runs[:2], 'mode_return_mean'))
  ) == [
    ('gym:A', 'm_iq demonstrations=a'),
    ('gym:A', 'm_iq demonstrations=b'),
  ]
  with pytest.raises(ValueError, match=f'{runs[1]} is an offline run.*{runs[2]}'):
    plotting.plot_runs(runs, str(tmp_path / 'x.png'))
