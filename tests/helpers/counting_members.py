"""Three members that count their steps, and the run of them."""

import dataclasses

import pool_environments

from iq_acme.config import IQConfig
from iq_acme.population import iq, runner
from iq_acme.population.members import Member
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings

CONFIG = IQConfig(
  hidden_layer_sizes=(8,),
  num_action_values=3,
  batch_size=8,
  min_replay_size=10,
  max_replay_size=1000,
  log_period=10,
)


def member(root, seed, num_steps=40, **fields):
  config = dataclasses.replace(CONFIG, **fields)
  name = '-'.join(f'{k}={v}' for k, v in fields.items())
  settings = RunSettings(
    env_name='counting',
    algorithm='m_iq',
    workdir=str(root / f'{name}seed_{seed}'),
    num_steps=num_steps,
    seed=seed,
    agent_config=dataclasses.asdict(config),
    evaluation_period=20,
    evaluation_episodes=2,
    checkpoint_period=20,
    tensorboard=False,
    engine='population',
  )
  return Member(settings, config, iq.FAMILY)


def members(root, num_steps=40):
  """Returns three seeds, of which one has another temperature and coefficient."""
  return [
    member(root, 0, num_steps),
    member(root, 1, num_steps),
    member(
      root, 2, num_steps, temperature=0.1, munchausen_coefficient=0.0, discount=0.9
    ),
  ]


def run(root, make=pool_environments.make_small, num_steps=40):
  return runner.run(members(root, num_steps), make, num_workers=1)


def directories(root):
  return [RunDirectory(x.settings.workdir) for x in members(root)]
