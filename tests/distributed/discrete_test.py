"""Integer actions through a whole program: actors, both replays, learner, evaluator."""

import functools
import os
import threading

import numpy as np
import pytest
from discrete_environments import Discrete
from tiny_environments import tiny_config

from iq_acme import launch, load_policy, make_distributed_iq
from iq_acme.environments import GymnasiumEnvironment


def make(space, seed):
  return GymnasiumEnvironment(Discrete(space), seed=seed)


@pytest.mark.parametrize(
  ('space', 'replay'), [('discrete', 'resident'), ('multi_discrete', 'table')]
)
def test_a_program_learns_from_integer_actions(space, replay, tmp_path):
  results = []

  def run():
    # From a thread, where no signal can be taken over.
    program = make_distributed_iq(
      functools.partial(make, space),
      config=tiny_config(replay=replay, policy_family='autoregressive'),
      num_actors=1,
      max_number_of_steps=60,
      workdir=str(tmp_path),
      evaluation_period=30,
      evaluation_episodes=1,
    )
    results.append(launch(program, 'local_mt', log_dir=str(tmp_path / 'logs')))

  thread = threading.Thread(target=run)
  thread.start()
  thread.join(120)
  (result,) = results
  assert result.finished and result.counts['learner_steps'] > 20
  policy = load_policy(os.path.join(tmp_path, 'policy.npz'))
  action = policy(np.zeros(2, np.float32), deterministic=False)
  policy.environment_spec.actions.validate(action)


def test_a_family_for_floats_alone_is_refused_before_anything_starts(tmp_path):
  with pytest.raises(ValueError, match=r'BoundedArray.*gaussian'):
    make_distributed_iq(
      functools.partial(make, 'discrete'),
      config=tiny_config(policy_family='gaussian'),
      num_actors=1,
      max_number_of_steps=60,
      workdir=str(tmp_path),
    )
