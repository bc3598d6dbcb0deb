import dataclasses
import os

import pytest

from experiments.paper import estimates, jobs, plans
from experiments.paper.plans import PLANS
from experiments.paper.settings import SUITES, Study, Variant
from iq_acme.commands import algorithms, environment_flags
from iq_acme.training.run_directory import RunDirectory

CHEETAH = 'gym:HalfCheetah-v4'


def _identity(run):
  return {'env_name': run.task, 'algorithm': run.algorithm, 'seed': run.seed}


def _write_run(root, run, *, steps, finished, speeds=()):
  directory = RunDirectory(os.path.join(root, run.folder))
  os.makedirs(directory.path)
  directory.write_config({**_identity(run), 'num_steps': run.num_steps})
  directory.update_summary(actor_steps=steps, finished=finished)
  with open(directory.evaluations, 'w') as file:
    file.write('actor_steps,learner_steps,steps_per_second\n0,0,nan\n10000,0,900\n')
    for i, speed in enumerate(speeds, start=2):
      file.write(f'{i * 10_000},{(i - 1) * 10_000},{speed}\n')


def test_measured_blocks_are_those_of_the_results_page():
  counts = {name: len(plans.expand(PLANS[name])) for name in PLANS if 'block' in name}
  # Block 4: five temperatures and five coefficients, of which 0 is one of the former.
  assert counts == {'block1': 18, 'block2': 6, 'block3': 8, 'block4': 9, 'block5': 6}


def test_paper_plans_have_its_suites_budget_and_seeds():
  (figure2,) = PLANS['figure2']
  assert figure2.tasks == SUITES['gym'] and len(figure2.tasks) == 5
  assert (figure2.num_steps, figure2.num_seeds) == (20_000_000, 20)
  assert len(plans.expand(PLANS['figure2'])) == 5 * 7 * 20
  assert len(plans.expand(PLANS['figure3'])) == 3 * 3 * 20


@pytest.mark.parametrize(
  ('task', 'algorithm', 'overrides', 'folder'),
  [
    (CHEETAH, 'iq', {'temperature': 0.01}, 'iq'),
    (CHEETAH, 'iq', {'temperature': 0.1}, 'iq-temperature=0.1'),
    ('adroit:pen', 'iq', {'temperature': 0.01}, 'iq-temperature=0.01'),
    (CHEETAH, 'm_iq', {'munchausen_coefficient': 0.0}, 'iq'),
    (CHEETAH, 'm_iq', {'munchausen_coefficient': 0.9}, 'm_iq'),
    ('gym:Humanoid-v4', 'm_iq', {'learning_rate': 1e-4}, 'm_iq'),
    ('gym:Humanoid-v4', 'm_iq', {'learning_rate': 3e-4}, 'm_iq-learning_rate=0.0003'),
  ],
)
def test_run_is_named_by_what_differs_from_the_papers_settings(
  task, algorithm, overrides, folder
):
  run = plans.make_run(task, Variant(algorithm, overrides), 3, 10)
  expected = os.path.join(task.replace(':', '_'), folder, 'seed_3')
  assert run.folder == expected


def test_run_that_studies_share_is_one_run_of_the_most_steps():
  short = Study('', (CHEETAH,), (Variant('m_iq'),), num_seeds=2, num_steps=100)
  sweep = (Variant('iq', {'munchausen_coefficient': c}) for c in (0.0, 0.9))
  long = Study('', (CHEETAH,), tuple(sweep), num_seeds=1, num_steps=200)
  runs = plans.expand([short, long])
  found = [(run.algorithm, run.seed, run.num_steps) for run in runs]
  assert found == [('m_iq', 0, 200), ('iq', 0, 200), ('m_iq', 1, 100)]


def test_flags_describe_the_run():
  run = plans.make_run(CHEETAH, Variant('iq', {'temperature': 1e-4}), 2, 100)
  assert run.flags() == [
    '--algorithm=iq',
    '--env_name=gym:HalfCheetah-v4',
    '--temperature=0.0001',
    '--num_steps=100',
    '--seed=2',
  ]
  assert '--num_steps=500' in run.flags(500)


def test_discrete_tasks_have_settings_and_evaluations_of_their_own():
  runs = plans.expand(PLANS['discrete'])
  assert {run.task for run in runs} == {'gym:CartPole-v1', 'gym:Acrobot-v1'}
  # Other seeds than those that the settings were chosen on.
  assert sorted(run.seed for run in runs) == [3, 3, 4, 4, 5, 5]
  for run in runs:
    assert run.num_steps == 50_000
    assert 'hidden_layer_sizes=64x64' in run.folder
    assert '--hidden_layer_sizes=64,64' in run.flags()
    command = jobs.make_job(run, jobs.JobSettings('r', 10, True), bool).command(None)
    assert '--evaluation_episodes=20' in command


def test_a_run_of_other_evaluations_is_refused(tmp_path):
  (study, _) = PLANS['discrete']
  run = plans.study_runs(study)[0]
  directory = RunDirectory(str(tmp_path / run.folder))
  os.makedirs(directory.path)
  directory.write_config({'evaluation_episodes': 5})
  with pytest.raises(ValueError, match='evaluation_episodes'):
    plans.check_settings(run, str(tmp_path))
  plans.check_settings(dataclasses.replace(run, evaluation_episodes=5), str(tmp_path))


def test_budget_shrinks():
  studies = plans.select(
    ['figure2', 'figure3'],
    steps=50,
    seeds=2,
    tasks=['HalfCheetah-v4', 'adroit:pen'],
    algorithm_names=['m_iq', 'sac'],
  )
  runs = plans.expand(studies)
  assert {run.num_steps for run in runs} == {50}
  assert [(run.task, run.algorithm, run.seed) for run in runs] == [
    (task, algorithm, seed)
    for seed in (0, 1)
    for task in (CHEETAH, 'adroit:pen')
    for algorithm in ('m_iq', 'sac')
  ]


def test_algorithm_filter_knows_what_a_sweeps_value_amounts_to():
  runs = plans.expand(plans.select(['coefficient'], seeds=1, algorithm_names=['iq']))
  assert {run.variant for run in runs} == {'iq'}


@pytest.mark.parametrize(
  ('names', 'options', 'message'),
  [
    (['figure9'], {}, "no plan 'figure9'"),
    (['block1'], {'steps': 0}, 'steps is 0'),
    (['block1'], {'seeds': -1}, 'seeds is -1'),
    (['block1'], {'tasks': ['Hopper-v4']}, "tasks names 'Hopper-v4'"),
    (['block1'], {'algorithm_names': ['td3']}, "algorithms names 'td3'"),
    (['block2'], {'algorithm_names': ['pcl']}, 'Nothing is left'),
  ],
)
def test_bad_input_is_refused_by_name(names, options, message):
  with pytest.raises(ValueError, match=message):
    plans.select(names, **options)


def test_status_tells_what_is_finished(tmp_path):
  root = str(tmp_path)
  run = plans.make_run(CHEETAH, Variant('iq'), 0, 100)
  assert plans.status(run, root) == plans.Status(0, False)
  _write_run(root, run, steps=100, finished=True)
  assert plans.status(run, root) == plans.Status(100, True)
  shorter, longer = (
    plans.make_run(CHEETAH, Variant('iq'), 0, steps) for steps in (50, 200)
  )
  assert plans.status(shorter, root) == plans.Status(50, True)
  assert plans.status(longer, root) == plans.Status(100, False)
  # The folder was begun with 100; asked for fewer, it must not be cut.
  assert plans.recorded_steps(shorter, root) == 100
  assert plans.recorded_steps(longer, root) == 200


def test_unfinished_run_of_many_steps_is_not_finished_for_a_plan_of_few(tmp_path):
  run = plans.make_run(CHEETAH, Variant('iq'), 0, 1000)
  _write_run(str(tmp_path), run, steps=400, finished=False)
  shorter = plans.make_run(CHEETAH, Variant('iq'), 0, 100)
  assert not plans.status(shorter, str(tmp_path)).finished


def test_run_of_many_steps_is_finished_for_a_plan_of_few_that_it_has_evaluated(
  tmp_path,
):
  run = plans.make_run(CHEETAH, Variant('iq'), 0, 50_000)
  _write_run(str(tmp_path), run, steps=30_000, finished=False, speeds=(50, 50))
  for steps, finished in ((20_000, True), (25_000, False), (50_000, False)):
    shorter = plans.make_run(CHEETAH, Variant('iq'), 0, steps)
    assert plans.status(shorter, str(tmp_path)).finished is finished, steps


def test_run_without_its_evaluations_is_not_finished(tmp_path):
  run = plans.make_run(CHEETAH, Variant('iq'), 0, 100)
  _write_run(str(tmp_path), run, steps=100, finished=True)
  os.remove(RunDirectory(os.path.join(tmp_path, run.folder)).evaluations)
  assert not plans.status(run, str(tmp_path)).finished


def test_speed_comes_from_runs_of_the_same_kind_and_task(tmp_path):
  root = str(tmp_path)
  iq, m_iq, sac = (
    plans.make_run(CHEETAH, Variant(name), 0, 110_000) for name in ('iq', 'm_iq', 'sac')
  )
  default = estimates.Estimates(root).speed(sac)
  assert default.source == 'default' and 0 < default.steps_per_second < 200
  # The first learning period holds the compilation, and 900 was without learning.
  _write_run(root, iq, steps=0, finished=False, speeds=(1, 40, 50, 60))
  known = estimates.Estimates(root)
  assert known.speed(iq) == estimates.Speed(50, 'these runs')
  assert known.speed(m_iq) == estimates.Speed(50, 'runs of this task')
  assert known.speed(sac) == default


def test_hours_by_hand(tmp_path):
  run = plans.make_run(CHEETAH, Variant('iq'), 0, 110_000)
  _write_run(str(tmp_path), run, steps=0, finished=False, speeds=(1, 50))
  known = estimates.Estimates(str(tmp_path))
  # 8 s to start, 10,000 steps at 800 a second, 100,000 at 50, and 12 evaluations of
  # 10 episodes of 1,000 steps at 2,500 a second.
  assert known.hours(run) * 3600 == pytest.approx(8 + 12.5 + 2000 + 48)
  assert known.hours(run, 60_000) * 3600 == pytest.approx(8 + 1000 + 5 * 4)
  assert known.hours(run, 110_000) == 0


def test_wall_hours_of_workers_that_take_jobs_in_order():
  assert estimates.wall_hours([3, 1, 1, 2], workers=2) == 4  # 3 and then 2 wait: 1+1+2.
  assert estimates.wall_hours([], workers=2) == 0


def test_disk_holds_one_checkpoint_of_the_last_million_transitions():
  short = plans.make_run(CHEETAH, Variant('iq'), 0, 200_000)
  long = plans.make_run(CHEETAH, Variant('iq'), 0, 20_000_000)
  per_transition = 4 * (17 + 6 + 1 + 1 + 17)
  without = estimates.bytes_kept(short, with_replay=False)
  assert estimates.bytes_kept(short, True) - without == 200_000 * per_transition
  assert estimates.bytes_kept(long, True) - without == 1_000_000 * per_transition


def test_results_of_other_settings_are_not_taken_for_the_runs(tmp_path):
  root = str(tmp_path)
  run = plans.make_run(CHEETAH, Variant('iq'), 0, 100)
  _write_run(root, run, steps=100, finished=True)
  directory = RunDirectory(os.path.join(root, run.folder))
  agent = dataclasses.asdict(algorithms.make_config('iq', CHEETAH))
  del agent['log_period']  # Written before there was such a field.
  own = _identity(run)
  directory.write_config({**own, 'agent': agent})
  assert plans.status(run, root).finished
  for name, value in (('evaluation_episodes', 1), ('env_options', {'x': 1})):
    directory.write_config({**own, 'agent': agent, name: value})
    with pytest.raises(ValueError, match=f'{name}.*: 1 there'):
      plans.status(run, root)
  directory.write_config({**own, 'agent': {**agent, 'temperature': 77.0}})
  with pytest.raises(
    ValueError, match=r'iq/seed_0 .*agent\.temperature: 77\.0 there, 0\.01 here'
  ):
    plans.status(run, root)


def test_an_environment_of_one_s_own_is_run_by_any_plan_with_its_options(tmp_path):
  own, options = 'python:own_tasks:make_env', {'size': 2, 'name_of': 'a b', 'on': True}
  studies = plans.select(['figure2'], tasks=[own], seeds=1, env_options=options)
  runs = plans.expand(studies)
  assert {run.task for run in runs} == {own}
  assert {run.algorithm for run in runs} >= {'iq', 'm_iq', 'sac'}
  run = runs[0]
  given = [flag for flag in run.flags() if flag.startswith('--env_option=')]
  assert (
    environment_flags.parse_options([f.partition('=')[2] for f in given]) == options
  )
  assert not plans.status(run, str(tmp_path)).finished
  agent = dataclasses.asdict(algorithms.make_config(run.algorithm, own))
  folder = tmp_path / run.folder
  folder.mkdir(parents=True)
  RunDirectory(str(folder)).write_config(
    {**_identity(run), 'agent': agent, 'env_options': {}}
  )
  with pytest.raises(ValueError, match=r'env_options\.size: absent there, 2 here'):
    plans.status(run, str(tmp_path))
  with pytest.raises(ValueError, match="tasks names 'gym:Hoper-v4'"):
    plans.select(['figure2'], tasks=['gym:Hoper-v4'])
