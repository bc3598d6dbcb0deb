import numpy as np
import pytest
import runner_fakes

from iq_acme import evaluation, seeding


def _evaluate(agent, made=None, **changes):
  def make(seed):
    task = runner_fakes.Task(seed)
    if made is not None:
      made.append(task)
    return task

  arguments = {'run_seed': 3, 'actor_steps': 20, 'num_episodes': 2}
  return evaluation.evaluate_agent(agent, make, **{**arguments, **changes})


@pytest.fixture
def agent(tmp_path):
  agent = runner_fakes.Agent(None, str(tmp_path), None)
  agent.learner_steps = 4
  return agent


def test_statistics_are_those_worked_out_by_hand():
  episodes = [
    evaluation.Episode(1.0, 10, {'success': 1.0}),
    evaluation.Episode(5.0, 20, {'success': 0.0}),
  ]
  assert evaluation.summarize(episodes) == {
    'return_mean': 3.0,
    'return_std': 2.0,
    'return_min': 1.0,
    'return_max': 5.0,
    'episode_length': 15.0,
    'success': 0.5,
  }


def test_mode_and_sampled_policies_are_told_apart(agent):
  values = _evaluate(agent)
  # Seven steps of 4.0 by the mode, of 0.5 by samples; see runner_fakes.
  assert values['mode_return_mean'] == 28.0
  assert values['sampled_return_mean'] == 3.5
  assert values['mode_episode_length'] == 7.0
  assert {'mode_success', 'sampled_success'} <= values.keys()


def test_both_policies_meet_the_same_fresh_environment_which_is_closed(agent):
  made = []
  _evaluate(agent, made)
  first, second = made
  assert first is not second
  assert first.seed == second.seed
  assert first.closed and second.closed


def test_seeds_depend_on_run_and_step_alone(agent):
  def seed_of(**changes):
    made = []
    _evaluate(agent, made, **changes)
    return made[0].seed

  assert seed_of() == seed_of()
  assert len({seed_of(), seed_of(run_seed=4), seed_of(actor_steps=30)}) == 3


def test_training_and_evaluation_never_share_a_seed():
  seeds = [
    seed
    for purpose in ('training', 'evaluation')
    for step in range(0, 100_000, 1000)
    for seed in seeding.derive_seeds(0, purpose, step, 3)
  ]
  assert len(set(seeds)) == len(seeds)
  assert all(0 <= seed < 2**31 for seed in seeds)


def test_actor_is_told_of_whole_episodes():
  heard = []

  class Actor(runner_fakes.FixedActor):
    def observe_first(self, timestep):
      heard.append('first' if timestep.first() else 'wrong')

    def observe(self, action, next_timestep):
      heard.append('last' if next_timestep.last() else 'mid')

  evaluation.run_episodes(Actor(1.0), runner_fakes.Task(0), 2)
  assert heard == ['first', *['mid'] * 6, 'last'] * 2


def test_stop_abandons_the_evaluation_and_still_closes(agent):
  made = []
  asked = iter([False] * 9 + [True])
  assert _evaluate(agent, made, should_stop=lambda: next(asked)) is None
  assert len(made) == 1 and made[0].closed


def test_environment_without_metrics_has_none():
  class Plain(runner_fakes.Task):
    episode_metrics = None

  del Plain.episode_metrics
  assert evaluation.episode_metrics(object()) == {}


def test_missing_return_stays_missing():
  episodes = [evaluation.Episode(float('nan'), 1, {})]
  assert np.isnan(evaluation.summarize(episodes)['return_mean'])
