"""Learning, from beginning to end, of three seeds at once.

Measured as in `agent/pendulum_test.py`, which says what a broken agent returns; these
return -81, -58 and -54.
"""

import dataclasses
import functools

import pytest
from pendulum import BAR, mean_return

from iq_acme.config import IQConfig
from iq_acme.environments import make_environment
from iq_acme.policy_io import load_policy
from iq_acme.population import iq, runner
from iq_acme.population.members import Member
from iq_acme.training import metrics_files
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings

pytestmark = pytest.mark.core


def test_three_seeds_learn_to_swing_up(tmp_path):
  config = IQConfig(
    hidden_layer_sizes=(64, 64), learning_rate=1e-3, min_replay_size=1_000
  )
  members = [
    Member(
      RunSettings(
        env_name='gym:Pendulum-v1',
        algorithm='m_iq',
        workdir=str(tmp_path / str(seed)),
        num_steps=4_000,
        seed=seed,
        agent_config=dataclasses.asdict(config),
        evaluation_period=4_000,
        engine='population',
      ),
      config,
      iq.FAMILY,
    )
    for seed in range(3)
  ]
  make = functools.partial(make_environment, 'gym:Pendulum-v1')
  assert runner.run(members, make).finished
  for member in members:
    directory = RunDirectory(member.settings.workdir)
    last = metrics_files.read_rows(directory.evaluations)[-1]
    assert last['learner_steps'] == 3_000
    assert mean_return(load_policy(directory.policy)) > BAR
