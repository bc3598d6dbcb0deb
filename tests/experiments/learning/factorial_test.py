"""The screen's design and its analysis, on runs whose effects are planted."""

import dataclasses
import itertools
import math
import os

import numpy as np
import pytest

from experiments.learning import design, effects, factorial
from experiments.paper import plans
from experiments.paper.plans import PLANS
from experiments.paper.settings import EVALUATION_EPISODES, EVALUATION_PERIOD
from iq_acme.commands import algorithms
from iq_acme.config import paper_config
from iq_acme.storage import files

LETTERS = tuple('ABCDEFG')
RUNS = design.signs()
PLAN = [run for study in PLANS['factorial'] for run in plans.study_runs(study)]


def column(word):
  return np.array([math.prod(run[letter] for letter in word) for run in RUNS])


def screen_of(scores, overestimation=None):
  scores = np.array([scores, 10.0 * np.asarray(scores) + 3])
  if overestimation is None:
    overestimation = np.zeros_like(scores)
  return effects.Screen(design.TASKS, scores, overestimation, ())


def effects_of(*arguments):
  return {e.name: e for e in effects.analyse(screen_of(*arguments))}


def test_sixteen_different_runs_have_each_level_eight_times():
  assert len({tuple(run.values()) for run in RUNS}) == 16
  assert [sum(run[letter] > 0 for run in RUNS) for letter in LETTERS] == [8] * 7


def test_main_effects_are_orthogonal_to_each_other_and_to_two_factor_interactions():
  for a, b in itertools.combinations(LETTERS, 2):
    assert column(a) @ column(b) == 0
    assert all(column(c) @ column(a + b) == 0 for c in LETTERS)


def test_words_are_those_of_the_generators():
  identities = {
    word
    for size in range(1, 8)
    for word in map(''.join, itertools.combinations(LETTERS, size))
    if (column(word) == 1).all()
  }
  assert identities == {'ABCE', 'BCDF', 'ACDG', 'ADEF', 'BDEG', 'ABFG', 'CEFG'}


def test_contrasts_are_seven_main_effects_and_what_else_16_runs_tell_apart():
  contrasts = design.contrasts()
  assert len(contrasts) == 15
  assert [words for name, words in contrasts.items() if name in LETTERS] == [
    (letter,) for letter in LETTERS
  ]
  assert contrasts['AB'] == ('AB', 'CE', 'FG')
  assert sum(len(words) for words in contrasts.values() if len(words[0]) == 2) == 21


def test_plan_runs_each_row_once_on_each_task_with_the_rows_seed():
  assert [(run.task, run.seed) for run in PLAN] == [
    (task, seed) for task in design.TASKS for seed in range(16)
  ]
  assert len({run.folder for run in PLAN}) == 32
  assert {run.num_steps for run in PLAN} == {200_000}
  # All factors but today's, and none: the number of changes is that of high levels.
  changes = [len(run.overrides) for run in PLAN[:16]]
  assert changes == [sum(sign > 0 for sign in run.values()) for run in RUNS]
  assert (changes[0], changes[15]) == (7, 0)


def test_small_screen_is_the_same_rows_with_smaller_networks():
  small = [run for study in PLANS['factorial_small'] for run in plans.study_runs(study)]
  assert len(small) == 32
  for run, other in zip(small, PLAN):
    assert (run.task, run.seed, run.num_steps) == (other.task, other.seed, 200_000)
    assert dict(run.overrides) == dict(other.overrides) | design.SMALL
    assert run.folder != other.folder


def test_policy_step_is_a_tenth_of_the_tasks():
  assert design.FACTORS[0].field == 'policy_learning_rate'
  for task, value in design.FACTORS[0].other.items():
    assert value == pytest.approx(0.1 * paper_config(task).learning_rate)


def test_margin_by_hand():
  # Median 2, s0 3: 20 is beyond 7.5, and the median of the others is 1.5. Student's
  # quantile of 5 / 3 degrees of freedom is 5.19 to three digits (1: 12.7, 2: 4.30).
  found = effects.lenth_margin(np.array([1.0, -1.0, 2.0, -20.0, 2.0]))
  assert 4.3 < found / (1.5 * 1.5) < 12.7
  # With 15 effects all of size 1 the error is 1.5, the degrees of freedom 5: 2.571.
  assert effects.lenth_margin(np.ones(15)) == pytest.approx(1.5 * 2.5706, rel=1e-4)


def test_planted_effect_is_recovered_and_adopted():
  rng = np.random.default_rng(0)
  scores = 100 + 50 * column('B') + rng.normal(size=16)
  found = effects_of(scores)
  # From -50 to +50 on the first task, ten times that on the second.
  np.testing.assert_allclose(found['B'].returns, [100, 1000], rtol=0.03)
  # In deviations of the runs: 2 / sqrt(16 / 15), but for the noise.
  assert found['B'].score == pytest.approx(2 / math.sqrt(16 / 15), abs=0.01)
  assert found['B'].is_adopted
  # Of 14 intervals of noise, one or the other may miss 0.
  assert sum(abs(e.score) > e.margin for e in found.values()) <= 3
  assert 'raw, normalised' in factorial.verdict(screen_of(scores), list(found.values()))


def test_one_task_alone_adopts_nothing():
  scores = 100 + 50 * column('B') + np.random.default_rng(0).normal(size=16)
  both = screen_of(scores)
  one = effects.Screen(design.TASKS[:1], both.scores[:1], both.overestimation[:1], ())
  found = effects.analyse(one)
  assert found[1].name == 'B' and found[1].score > found[1].margin
  assert not any(effect.is_adopted for effect in found)
  assert factorial.verdict(one, found) == (
    'Nothing is adopted yet: Walker2d-v4 misses runs.'
  )


def test_harmful_or_overestimating_level_is_not_adopted():
  noise = np.random.default_rng(0).normal(size=16)
  assert not effects_of(100 - 50 * column('B') + noise)['B'].is_adopted
  worse = np.where(column('B') > 0, 0.3, 0.2) * np.ones((2, 1))
  effect = effects_of(100 + 50 * column('B') + noise, worse)['B']
  assert effect.overestimation == (0.2, 0.3)
  assert effect.score > effect.margin and not effect.is_adopted


def test_noise_alone_adopts_little():
  rng = np.random.default_rng(1)
  found = [
    e.is_adopted for _ in range(40) for e in effects_of(rng.normal(size=16)).values()
  ]
  assert sum(found) <= 0.05 * 280


def write_run(root, run, final_return):
  """Evaluations at 0, 100,000 and 200,000 steps; the first does not count."""
  folder = os.path.join(root, run.folder)
  os.makedirs(folder)
  agent = algorithms.make_config(run.algorithm, run.task, dict(run.overrides))
  files.write_json(
    os.path.join(folder, 'config.json'),
    {
      'env_name': run.task,
      'algorithm': run.algorithm,
      'seed': run.seed,
      'agent': dataclasses.asdict(agent),
      'evaluation_period': EVALUATION_PERIOD,
      'evaluation_episodes': EVALUATION_EPISODES,
    },
  )
  files.write_json(
    os.path.join(folder, 'summary.json'), {'actor_steps': 200_000, 'finished': True}
  )
  with open(os.path.join(folder, 'eval.csv'), 'w') as file:
    file.write(
      'actor_steps,mode_return_mean,mode_initial_value,mode_discounted_return\n'
    )
    file.write(f'0,-900,0,0\n100000,0,0,0\n200000,{final_return},30,-20\n')


def test_runs_are_read_and_tabulated(tmp_path):
  root = str(tmp_path / 'runs')
  for i, run in enumerate(PLAN[:-1]):
    if i != 15:
      write_run(root, run, final_return=i)
  with pytest.raises(
    ValueError, match=r'^2 of 32 runs .* gym:HalfCheetah-v4 m_iq seed 15; .* its 16\.$'
  ):
    factorial.read(root)
  write_run(root, PLAN[15], final_return=15)
  alone = factorial.read(root)
  assert alone.tasks == ('gym:HalfCheetah-v4',)
  np.testing.assert_array_equal(alone.scores, [np.arange(16) / 2])
  table = factorial.make_table(alone, effects.analyse(alone))
  assert 'return_HalfCheetah-v4' in table.rows[0]
  assert 'return_Walker2d-v4' not in table.rows[0]
  write_run(root, PLAN[-1], final_return=31)
  screen = factorial.read(root)
  # Means of 0 and the last; (30 - -20) / 20.
  np.testing.assert_array_equal(screen.scores.ravel(), np.arange(32) / 2)
  assert set(screen.overestimation.ravel()) == {2.5}
  found = effects.analyse(screen)
  # Rows 0 to 7 have A at its other level: the mean of 8 to 15 is 8 / 2 higher.
  assert found[0].returns.tolist() == [-4, -4]
  table = factorial.make_table(screen, found)
  assert len(table.rows) == 15
  assert table.summary[0]['effect'] == 'policy step ratio: 1, 0.1'
  assert factorial.run_rows(screen)[31]['mean_over_training'] == 15.5
  factorial.draw(screen, found, str(tmp_path / 'effects.png'))
  assert (tmp_path / 'effects.png').stat().st_size > 10_000
