"""What a policy loses by rounding its actions, and by being cloned."""

import csv

import jax
import numpy as np
import pytest
from saved_policies import rewrite_header

from experiments.learning import representation
from iq_acme import acting, policy_io
from iq_acme.baselines.sac import networks as sac_networks
from iq_acme.baselines.sac import policy_file
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.commands import parsing
from iq_acme.config import IQConfig
from iq_acme.environments import make_environment
from iq_acme.networks import make_networks
from iq_acme.spec_checks import make_environment_spec


class Scripted:
  """An actor that gives the same action always."""

  def __init__(self, action):
    self._action = np.array(action, np.float32)

  def select_action(self, observation):
    return self._action


@pytest.fixture(scope='module')
def spec():
  environment = make_environment('gym:Pendulum-v1', 0)  # Torques in [-2, 2].
  yield make_environment_spec(environment)
  environment.close()


@pytest.mark.parametrize(
  ('action', 'num_values', 'rounded'),
  [(1.1, 5, 1.0), (1.6, 5, 2.0), (1.6, 2, 2.0), (-0.1, 2, -2.0), (0.3, 3, 0.0)],
)
def test_actions_are_rounded_to_the_nearest_value(spec, action, num_values, rounded):
  actor = representation.RoundedActor(Scripted([action]), spec.actions, num_values)
  found = actor.select_action(None)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, [rounded])


def test_clone_learns_the_actions_it_is_shown(spec):
  rng = np.random.default_rng(0)
  observation = rng.normal(size=(2000, 3)).astype(np.float32)
  action = np.where(observation[:, :1] > 0, 2.0, -1.0).astype(np.float32)
  data = {'observation': observation, 'action': action}
  policy, seen, held_out = representation.clone(
    data, spec, 5, num_sgd_steps=300, seed=0
  )
  assert max(seen, held_out) < 0.3  # Of log 5 = 1.6, before learning.
  assert policy(np.array([2, 0, 0], np.float32)) == 2.0
  assert policy(np.array([-2, 0, 0], np.float32)) == -1.0


def save_iq(path, spec):
  config = IQConfig(hidden_layer_sizes=(8,))
  networks = make_networks(spec, config)
  variables = acting.ActingVariables(
    networks.policy.init(jax.random.PRNGKey(0)), None, exploring=False
  )
  metadata = {'env_name': 'gym:Pendulum-v1', 'algorithm': 'm_iq', 'seed': 7}
  policy_io.save_policy(path, variables, spec, config, metadata)


def save_sac(path, spec):
  config = SACHyperparameters(hidden_layer_sizes=(8,))
  networks = sac_networks.make_networks(spec, config)
  variables = acting.ActingVariables(
    networks.policy.init(jax.random.PRNGKey(0)), None, exploring=False
  )
  metadata = {'env_name': 'gym:Pendulum-v1', 'algorithm': 'sac', 'seed': 7}
  policy_file.save_policy(path, variables, spec, config, metadata)


@pytest.mark.parametrize('save', [save_iq, save_sac])
def test_command_writes_a_row_for_each_form(tmp_path, spec, save):
  path = str(tmp_path / 'policy.npz')
  save(path, spec)
  arguments = [f'--policy={path}', f'--output_dir={tmp_path}', '--num_sgd_steps=5']
  arguments += ['--num_action_values=11,3', '--num_episodes=2', '--data_episodes=2']
  assert (
    parsing.run(
      representation.main, representation.FLAGS, representation.__doc__, arguments
    )
    == 0
  )
  text = (tmp_path / 'representation.md').read_text()
  assert '| as trained |' in text and '| cloned, 3 values |' in text
  with open(tmp_path / 'representation.csv') as file:
    rows = list(csv.DictReader(file))
  assert [(row['form'], row['num_values']) for row in rows] == [
    ('as trained', ''),
    ('rounded', '11'),
    ('rounded', '3'),
    ('cloned', '11'),
    ('cloned', '3'),
  ]
  assert {row['task'] for row in rows} == {'gym:Pendulum-v1'}
  # No clone is much worse than a uniform policy; the others have no such number.
  nats = [float(row['nats_held_out']) for row in rows]
  assert np.isnan(nats[:3]).all()
  assert 0 < nats[3] < np.log(11) + 0.1 and 0 < nats[4] < np.log(3) + 0.1
  returns = [float(row['sampled_return_mean']) for row in rows]
  if save is save_iq:  # Its actions are on the grid of 11 already.
    assert returns[0] == returns[1]
  assert returns[0] != returns[2]


def save_foreign(path, spec):
  save_iq(path, spec)
  rewrite_header(path, metadata={'env_name': 'python:somewhere:make'})


@pytest.mark.parametrize(
  ('save', 'option', 'message'),
  [
    (lambda path, spec: None, '--seed=0', 'policy.npz'),
    (save_iq, '--num_action_values=11,x', 'num_action_values is 11,x; it must be'),
    (save_iq, '--num_action_values=1', 'num_action_values is 1; it must be'),
    # A file may be a stranger's.
    (save_foreign, '--seed=0', 'That name imports code'),
  ],
)
def test_bad_input_is_refused(tmp_path, capsys, spec, save, option, message):
  path = str(tmp_path / 'policy.npz')
  save(path, spec)
  options = [f'--policy={path}', f'--output_dir={tmp_path}', option]
  status = parsing.run(
    representation.main, representation.FLAGS, representation.__doc__, options
  )
  assert status == 2 and message in capsys.readouterr().err
