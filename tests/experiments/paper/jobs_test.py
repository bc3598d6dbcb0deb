"""Command lines of a plan's runs."""

import json

import pytest

from experiments.paper import command_flags, jobs, plans
from experiments.paper.settings import Variant
from iq_acme.commands import distribution_flags

CHEETAH = 'gym:HalfCheetah-v4'
PLACEMENT = (
  '--num_threads',
  '--cpu_core',
  '--run_distributed',
  '--num_actors',
  '--lp_',
  '--listen',
)


def _command(root, algorithm, distribution=(), core=1):
  run = plans.make_run(CHEETAH, Variant(algorithm), 3, 1000)
  settings = jobs.JobSettings(str(root), 500, False, distribution)
  return jobs.make_job(run, settings, lambda: False).command(core)


def _placement(command):
  return [flag for flag in command if flag.startswith(PLACEMENT)]


def test_a_run_of_one_process_has_a_core_of_its_own(tmp_path):
  command = _command(tmp_path, 'iq')
  assert _placement(command) == ['--num_threads=1', '--cpu_core=1']
  for flag in (
    '--algorithm=iq',
    f'--env_name={CHEETAH}',
    '--num_steps=1000',
    '--seed=3',
    f'--workdir={tmp_path}/gym_HalfCheetah-v4/iq/seed_3',
    '--checkpoint_period=500',
    '--checkpoint_replay=false',
  ):
    assert flag in command


@pytest.mark.parametrize(
  ('algorithm', 'placement'),
  [
    (
      'iq',
      [
        '--run_distributed',
        '--num_actors=6',
        '--lp_launch_type=local_mp',
        '--listen=all',
      ],
    ),
    ('sac', []),  # One process, on any core.
  ],
)
def test_distributed_runs_are_programs_but_for_sac(tmp_path, algorithm, placement):
  command_flags.FLAGS.unparse_flags()
  command_flags.FLAGS(['paper', '--run_distributed', '--num_actors=6', '--listen=all'])
  distribution = distribution_flags.repeat_flags(command_flags.FLAGS)
  assert _placement(_command(tmp_path, algorithm, distribution)) == placement


def test_a_folder_of_more_steps_is_not_cut(tmp_path):
  folder = tmp_path / 'gym_HalfCheetah-v4' / 'iq' / 'seed_3'
  folder.mkdir(parents=True)
  (folder / 'config.json').write_text(json.dumps({'num_steps': 2000}))
  assert '--num_steps=2000' in _command(tmp_path, 'iq')
