"""Where no action is better than another, what keeps the policy nearly uniform."""

import math

import numpy as np
import pytest

from experiments.learning import probe
from iq_acme.training import metrics_files

UNIFORM = math.log(11)


def entropy_after_400(name):
  (row,) = probe.run(probe.SETTINGS[name], marks=(400,))
  assert row['sgd_step'] == 400
  return row['policy_entropy_per_dim']


def test_policy_collapses_today_though_no_action_is_better():
  assert entropy_after_400('today') < 0.3


@pytest.mark.parametrize('name', ['reward 0', 'policy step x 0.03'])
def test_policy_stays_nearly_uniform(name):
  assert 2.3 < entropy_after_400(name) <= UNIFORM


def test_one_network_learns_a_signal_that_two_have_not_seen_yet():
  learnt = {}
  for name in ('today', 'one network'):
    (row,) = probe.run(probe.SETTINGS[name], signal=True, marks=(200,))
    learnt[name] = row['signal_fraction']
  # Of 1; the middle value everywhere gets 0.40.
  assert learnt['one network'] > 0.75 and learnt['today'] < 0.55


def test_rewards_of_noise_are_alike_and_those_of_a_signal_by_hand():
  assert set(probe.make_data(1.0, signal=False).rewards) == {1.0}
  rewards = probe.make_data(1.0, signal=True).rewards
  # Value i of best b = 8 or 2, alike but mirrored: the distances are 0 to 8, of which
  # 1 and 2 come twice; on average 39 / 11.
  expected = 1 + 3 * (1 - 39 / 11 / 5)
  assert np.mean(rewards) == pytest.approx(expected, abs=0.03)
  assert np.max(rewards) <= 4 + 1e-6 and np.min(rewards) >= 1 - 3 * 0.6 - 1e-6


def test_next_observations_and_fresh_ones_are_others():
  data = probe.make_data(1.0, signal=True)
  for other in (data.following, data.fresh):
    correlation = np.corrcoef(data.observations.ravel(), other.ravel())[0, 1]
    assert abs(correlation) < 0.02


def test_table_and_picture(tmp_path):
  rows = [
    dict.fromkeys(probe.COLUMNS, 1.0) | {'setting': name, 'signal': s, 'sgd_step': 100}
    for name in ('today', 'reward 0')
    for s in (0, 1)
  ]
  metrics_files.write_rows(str(tmp_path / 'probe.csv'), rows, digits=6)
  probe.draw(rows, str(tmp_path / 'probe.png'))
  lines = (tmp_path / 'probe.csv').read_text().splitlines()
  assert lines[:2] == [','.join(probe.COLUMNS), 'today,0,100,1,1,1,1']
  assert (tmp_path / 'probe.png').stat().st_size > 10_000
