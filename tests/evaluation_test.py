import jax
import numpy as np
import pytest
import runner_fakes
from tiny_environments import NumberedEnvironment, OneBuffer, spec_of

from iq_acme import acting, critics, evaluation, normalization, seeding, update
from iq_acme.config import IQConfig
from iq_acme.critics import Critic
from iq_acme.episodes import Episode, episode_metrics, run_episodes, summarize
from iq_acme.networks import make_networks


class OneBufferTask(OneBuffer, runner_fakes.Task):
  """As simulators do."""


def _evaluate(agent, made=None, task_class=runner_fakes.Task, **changes):
  def make(seed):
    task = task_class(seed)
    if made is not None:
      made.append(task)
    return task

  arguments = {'run_seed': 3, 'step': 20, 'num_episodes': 2}
  return evaluation.evaluate_agent(agent, make, **{**arguments, **changes})


@pytest.fixture
def agent(tmp_path):
  agent = runner_fakes.Agent(None, str(tmp_path), None)
  agent.learner_steps = 4
  return agent


def test_statistics_are_those_worked_out_by_hand():
  episodes = [
    Episode(1.0, 10, {'success': 1.0}),
    Episode(5.0, 20, {'success': 0.0}),
  ]
  assert summarize(episodes) == {
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
  assert len({seed_of(), seed_of(run_seed=4), seed_of(step=30)}) == 3


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

  run_episodes(Actor(1.0), runner_fakes.Task(0), 2)
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
  assert episode_metrics(object()) == {}


def test_missing_return_stays_missing():
  episodes = [Episode(float('nan'), 1, {})]
  assert np.isnan(summarize(episodes)['return_mean'])


# --- What the agent expected, beside what came -------------------------------------------


@pytest.mark.parametrize('task_class', [runner_fakes.Task, OneBufferTask])
def test_value_is_held_against_the_discounted_return_by_hand(agent, task_class):
  # Of an observation (x, y): V = 10 + x, entropy x. An episode starts at zeros, and goes
  # on at ones; the mode is paid 4.0 at each of its 7 steps, and gamma is 0.5.
  assess = jax.jit(lambda shift, obs: {'value': shift + obs[:, 0], 'nats': obs[:, 1]})
  agent.make_critic = lambda: Critic(0.5, 10.0, assess)
  values = _evaluate(agent, task_class=task_class)
  assert values['mode_initial_value'] == 10.0
  assert values['mode_discounted_return'] == pytest.approx(4 * (2 - 2 * 0.5**7))
  assert values['mode_nats'] == pytest.approx(6 / 7)
  assert not any(name.startswith('sampled_') for name in values if 'value' in name)


@pytest.mark.parametrize('length', [1, 255, 256, 257, 600])
def test_critic_assesses_episodes_of_any_length_by_one_program(length):
  traced = []

  @jax.jit
  def assess(variables, observations):
    traced.append(observations.shape)
    return {'value': variables * observations[:, 0]}

  observations = [np.float32([i, 0]) for i in range(length)]
  found = Critic(0.9, 2.0, assess)(observations)
  np.testing.assert_array_equal(found['value'], 2.0 * np.arange(length))
  assert len(traced) == 1


def test_iq_expects_its_value_and_its_policys_entropy():
  config = IQConfig(num_action_values=4, normalize_observations=True)
  networks = make_networks(spec_of(NumberedEnvironment()), config)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  normalizer = normalization.update_statistics(
    state.normalizer, np.float32([[0, 0], [2, 4]])
  )
  variables = acting.ActingVariables(state.params.policy, normalizer, False)
  critic = Critic(0.99, (variables, state.params.value), critics.make_assess(networks))
  observation = np.float32([2, 4])
  found = critic([observation])
  batch = normalization.normalize(observation[None], normalizer)
  expected = networks.value.apply(state.params.value, batch)
  np.testing.assert_allclose(found['value'], expected, rtol=1e-5)
  # Almost uniform at the start, over 4 values per dimension.
  np.testing.assert_allclose(found['policy_entropy_per_dim'], np.log(4), rtol=1e-3)
