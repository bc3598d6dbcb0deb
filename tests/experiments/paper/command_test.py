"""The paper's command, on runs written by hand; real runs as a user starts them."""

import itertools
import json
import math
import os
import pathlib
import shlex
import subprocess
import sys
import types

import pytest
from repository import ROOT
from written_runs import HOPPER, write_run

from experiments.paper import command
from experiments.paper.settings import Variant
from iq_acme.commands import parsing
from iq_acme.training import metrics_files


@pytest.fixture
def paper(capsys, monkeypatch):
  """Runs the command in this process; returns what `subprocess.run` would."""
  monkeypatch.chdir(ROOT)

  def run(*arguments):
    status = parsing.run(
      command.main, command.FLAGS, command.__doc__, arguments, takes_arguments=True
    )
    out, err = capsys.readouterr()
    return types.SimpleNamespace(returncode=status, stdout=out, stderr=err)

  return run


def _paper(*arguments):
  return subprocess.run(
    [sys.executable, 'experiments/paper.py', *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=240,
  )


def test_export_copies_the_small_files_of_finished_runs(paper, root, tmp_path):
  exported = tmp_path / 'exported'
  result = paper(
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


def test_export_thins_the_metrics_of_training(paper, root, tmp_path):
  of_sac = pathlib.Path('gym_HalfCheetah-v4', 'sac')
  for seed, steps in ((0, range(1, 1001)), (1, range(1, 4))):
    rows = [{'actor_steps': 1000 * step, 'loss': step / 3} for step in steps]
    rows[-1]['loss'] = math.nan
    metrics_files.write_rows(
      str(pathlib.Path(root) / of_sac / f'seed_{seed}' / 'train.csv'), rows
    )
  options = ('block1', f'--root={root}', f'--exported={tmp_path}', '--steps=20')
  assert paper('export', *options).returncode == 0
  long, short = (
    metrics_files.read_rows(str(tmp_path / of_sac / f'seed_{seed}' / 'train.csv'))
    for seed in (0, 1)
  )
  assert len(long) == 200 and len(short) == 3
  steps = [row['actor_steps'] for row in long]
  assert (steps[0], steps[-1]) == (1000, 1_000_000)
  # Of 999 distances 199 are kept, all as equal as they can be.
  assert {b - a for a, b in itertools.pairwise(steps)} == {5000, 6000}
  assert long[100]['loss'] == pytest.approx(steps[100] / 3000, rel=1e-7)
  assert math.isnan(long[-1]['loss'])


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['draw'], "'draw'"),
    (['plan', 'figure9'], 'figure9'),
    (['run'], 'Say which plans'),
    (['commands'], 'Say which plans'),
    (['commands', 'block1', '--workers=2'], '--workers is not for commands'),
    (['export', '--exported=none'], '--exported=none is not for export'),
    (['run', 'block1', '--workers=4096'], 'workers is 4096'),
    (['run', 'block1', '--num_actors=2'], '--num_actors is for distributed runs'),
    (
      ['run', 'block1', '--first_core=4096'],
      'first_core is 4096; this process may use',
    ),
    (['run', 'block1', '--run_distributed', '--first_core=1'], '--first_core is for'),
    (['plan', '--population'], '--population is for run, not for plan.'),
    (['run', 'block1', '--members_at_once=2'], '--members_at_once is for populations'),
    (['run', 'block1', '--population', '--workers=2'], '--workers is for single runs'),
    (['run', 'block2', '--algorithms=td3'], 'td3'),
    (['plan', '--tasks=HalfCheeta'], 'HalfCheeta'),
    (['plan', '--steps=0'], 'steps is 0'),
    (['plot', '--algorithms=sacc'], 'sacc'),
    (['plot', 'figure7'], "no figure 'figure7'"),
    (['plot', '--root=no/such'], 'root is no/such; there is no such folder'),
    (['export', '--root=no/such'], 'root is no/such; there is no such folder'),
    (['plot', '--seeds=1'], '--seeds is not for plot'),
    (['run', 'block1', '--root=setup.py'], 'setup.py, which is no folder'),
  ],
)
def test_bad_command_is_refused_in_words(paper, arguments, message):
  result = paper(*arguments)
  assert result.returncode == 2
  assert message in result.stderr.splitlines()[-1]  # After what is not run here.


def test_exported_runs_are_not_run_again_on_a_machine_that_has_not_made_them(
  paper, root, tmp_path
):
  exported, elsewhere = f'--exported={tmp_path / "exported"}', tmp_path / 'elsewhere'
  budget = ['block2', '--algorithms=sac', '--steps=20', '--seeds=1']
  assert paper('export', *budget, f'--root={root}', exported).returncode == 0
  result = paper('run', *budget, f'--root={elsewhere}', exported, '--workers=1')
  assert result.returncode == 0, result.stderr
  assert '1 of 1 runs done' in result.stdout
  assert '1 of 1 runs are not run here' in result.stderr
  assert '--exported=none' in result.stderr
  assert not elsewhere.exists()
  result = paper('plan', *budget, f'--root={elsewhere}', '--exported=none')
  assert 'left: 1 runs' in result.stdout
  # More steps than were exported are to be run.
  result = paper('plan', *budget, f'--root={elsewhere}', exported, '--steps=30')
  assert 'left: 1 runs' in result.stdout


def test_export_does_not_replace_a_run_by_a_shorter_one(paper, root, tmp_path):
  exported = tmp_path / 'exported'
  folder = pathlib.Path(write_run(exported, HOPPER, Variant('sac'), [1.0] * 9))
  config = json.loads((folder / 'config.json').read_text())
  (folder / 'config.json').write_text(json.dumps({**config, 'num_steps': 80}))
  before = (folder / 'eval.csv').read_text()
  result = paper(
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


def test_plan_prints_runs_hours_and_what_is_done(paper, root, tmp_path):
  result = paper(
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


def test_distributed_plan_runs_iq_as_programs_and_keeps_to_its_own_folders(tmp_path):
  root, exported = tmp_path / 'runs', tmp_path / 'exported'
  options = (
    '--run_distributed',
    '--steps=300',
    '--seeds=1',
    '--algorithms=m_iq',
    f'--root={root}',
    f'--exported={exported}',
  )
  run = ('run', 'block1', *options, '--num_actors=1', '--lp_launch_type=local_mt')
  result = _paper(*run)
  assert result.returncode == 0, result.stdout + result.stderr
  assert '1 runs, 1 at a time, 1 actors each' in result.stdout
  assert 'gym:HalfCheetah-v4 m_iq seed 0 0/300' in result.stdout
  folder = root / 'gym_HalfCheetah-v4' / 'm_iq' / 'seed_0'
  config = json.loads((folder / 'config.json').read_text())
  assert (config['distributed'], config['num_steps']) == (True, 300)
  assert json.loads((folder / 'summary.json').read_text())['finished'] is True
  assert '1 of 1 runs done' in _paper(*run).stdout
  assert _paper('export', 'block1', *options).returncode == 0
  assert (exported / 'gym_HalfCheetah-v4' / 'm_iq' / 'seed_0' / 'eval.csv').exists()


def test_distributed_plans_do_not_take_runs_of_one_process_for_theirs(paper, tmp_path):
  plan = ('plan', 'block1', '--algorithms=m_iq', '--seeds=1', f'--root={tmp_path}')
  results = [paper(*plan, *flag).stdout for flag in ((), ('--run_distributed',))]
  # One run of one process is committed with the results.
  assert 'left: 0 runs' in results[0] and 'left: 1 runs' in results[1]


def test_commands_are_those_of_the_runs_that_are_left(paper, root):
  result = paper(
    'commands', 'block2', f'--root={root}', '--exported=none', '--steps=20', '--seeds=1'
  )
  assert result.returncode == 0, result.stderr
  # SAC's run is there, and so is one of the others.
  (line,) = result.stdout.splitlines()
  command = shlex.split(line)
  assert command[0] == sys.executable and '--env_name=gym:Hopper-v4' in command
  assert '--num_steps=20' in command and '--num_threads=1' in command
  assert not any(flag.startswith('--cpu_core') for flag in command)
  (workdir,) = (flag for flag in command if flag.startswith('--workdir='))
  assert workdir.startswith(f'--workdir={root}/gym_Hopper-v4/')
  checked = subprocess.run(
    f'{line} --help', shell=True, cwd=ROOT, capture_output=True, text=True
  )
  assert checked.returncode == 0, checked.stderr
