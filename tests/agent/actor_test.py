"""IQActor: what it acts by, what it records, and what it refuses."""

import collections

import dm_env
import jax
import numpy as np
import pytest
from acme import specs
from tiny_environments import MARKER, NumberedEnvironment, spec_of, tiny_config

from iq_acme import NonFiniteActionError, acting
from iq_acme.agent.actor import IQActor
from iq_acme.networks import make_networks
from iq_acme.normalization import RunningStatistics, normalize

GRID = {-1.0, 0.0, 1.0, 2.0, 3.0}
SPEC = spec_of(NumberedEnvironment())
NETWORKS = make_networks(SPEC, tiny_config())
OBSERVATION = np.array([0.5, -1.0], np.float32)


class Source:
  """A learner that serves what it is told to."""

  def __init__(self, seed=0, exploring=False, normalizer=None):
    self.set_policy(seed)
    self.exploring = exploring
    self.normalizer = normalizer

  def set_policy(self, seed):
    """A policy that all but always takes its most likely action."""
    params = NETWORKS.policy.init(jax.random.PRNGKey(seed))
    self.params = jax.tree.map(lambda x: 300 * x, params)

  def get_variables(self, names):
    assert names == ['policy']
    return [
      acting.ActingVariables(self.params, self.normalizer, np.bool_(self.exploring))
    ]


class RecordingAdder:
  def __init__(self):
    self.added = []

  def add_first(self, timestep):
    self.added.append(timestep)

  def add(self, action, next_timestep):
    self.added.append((action, next_timestep))


def make_actor(source=None, policy=None, seed=0, adder=None, spec=SPEC):
  policy = policy or acting.make_behavior_policy(NETWORKS)
  key = jax.random.PRNGKey(seed)
  return IQActor(policy, spec, key, source or Source(), adder)


def act(actor, num=1):
  return [float(actor.select_action(OBSERVATION)[0]) for _ in range(num)]


def mode_of(source):
  return float(NETWORKS.policy.mode(source.params, OBSERVATION[None])[0, 0])


def sources_of_two_modes():
  sources = [Source(seed) for seed in range(10)]
  first = sources[0]
  return first, next(s for s in sources if mode_of(s) != mode_of(first))


def test_exploration_is_uniform_on_the_grid_of_values():
  actions = act(make_actor(Source(exploring=True)), 1000)
  values, counts = np.unique(actions, return_counts=True)
  assert set(values) == GRID
  # 200 of each are expected, with a standard deviation of 12.6.
  assert np.all(np.abs(counts - 200) < 70)


@pytest.mark.parametrize('deterministic', [True, False])
def test_evaluation_never_explores(deterministic):
  source = Source(exploring=True)
  policy = acting.make_evaluation_policy(NETWORKS, deterministic=deterministic)
  actor = make_actor(source, policy)
  assert act(actor, 50).count(mode_of(source)) >= (50 if deterministic else 40)


def test_sampling_takes_other_actions_than_the_mode():
  source = Source()
  source.params = jax.tree.map(lambda x: x / 300, source.params)  # Nearly uniform.
  sampled = make_actor(
    source, acting.make_evaluation_policy(NETWORKS, deterministic=False)
  )
  by_mode = make_actor(
    source, acting.make_evaluation_policy(NETWORKS, deterministic=True)
  )
  assert len(set(act(sampled, 100))) > 1
  assert len(set(act(by_mode, 100))) == 1


def test_an_actor_follows_the_newest_parameters_at_once():
  first, second = sources_of_two_modes()
  actor = make_actor(first)
  assert act(actor) == [mode_of(first)]
  first.params = second.params
  assert act(actor) == [mode_of(second)]
  first.exploring = True
  assert len(set(act(actor, 50))) > 1


def test_beside_an_accelerator_only_a_policy_that_has_changed_is_copied(monkeypatch):
  copied = []
  device_put = jax.device_put

  def recorded(tree, device):
    copied.append(tree)
    return device_put(tree, device)

  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  first, second = sources_of_two_modes()
  source = Source(exploring=True)
  source.params = first.params
  actor = make_actor(source)
  monkeypatch.setattr(jax, 'device_put', recorded)
  assert len(set(act(actor, 50))) > 1
  assert len(copied) == 1
  source.exploring = False
  assert set(act(actor, 5)) == {mode_of(first)}
  assert len(copied) == 1
  source.params = second.params
  assert set(act(actor, 5)) == {mode_of(second)}
  assert len(copied) == 2
  source.normalizer = RunningStatistics(
    count=np.float32(1),
    mean=np.zeros(2, np.float32),
    variance=np.ones(2, np.float32),
  )
  act(actor, 5)
  assert len(copied) == 3


def test_observations_are_normalised_by_the_statistics_that_are_served():
  statistics = RunningStatistics(
    count=np.float32(1),
    mean=np.array([5.0, 1.0], np.float32),
    variance=np.array([4.0, 0.25], np.float32),
  )
  # Some policy whose mode differs between the raw and the normalised observation.
  for seed in range(20):
    source = Source(seed, normalizer=statistics)
    normalized = normalize(OBSERVATION[None], statistics)
    expected = float(NETWORKS.policy.mode(source.params, normalized)[0, 0])
    if expected != mode_of(source):
      break
  actor = make_actor(
    source, acting.make_evaluation_policy(NETWORKS, deterministic=True)
  )
  assert expected != mode_of(source)
  assert act(actor) == [expected]


def test_actions_are_reproduced_by_the_seed_and_by_the_key():
  source = Source(exploring=True)
  actor, same, other = (make_actor(source, seed=seed) for seed in (1, 1, 2))
  start = act(actor, 10)
  assert start == act(same, 10)
  assert start != act(other, 10)
  other.random_key = np.asarray(actor.random_key)
  assert act(actor, 10) == act(other, 10)


def test_acting_is_compiled_once():
  source = Source(exploring=True)
  policy, traced = acting.make_behavior_policy(NETWORKS), []

  def counted(*arguments):
    traced.append(arguments)
    return policy(*arguments)

  actor = make_actor(source, counted)
  act(actor, 2)
  source.exploring = False
  act(actor, 2)
  actor.random_key = np.asarray(actor.random_key)
  act(actor, 2)
  assert len(traced) == 1


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_actions_fit_the_environment_spec(dtype):
  # float32(0.1) is above 0.1.
  actions = specs.BoundedArray((1,), dtype, -0.1, 0.1)
  spec = SPEC._replace(actions=actions)
  networks = make_networks(spec, tiny_config())
  source = Source(exploring=True)
  actor = make_actor(source, acting.make_behavior_policy(networks), spec=spec)
  for _ in range(20):
    actions.validate(actor.select_action(OBSERVATION))


def test_observations_of_another_structure_than_the_spec_are_refused_at_once():
  # JAX sorts the keys of a dict but keeps an OrderedDict's order, in which the networks
  # take their inputs: of equal shapes, they would be permuted in silence.
  leaf = SPEC.observations
  spec = SPEC._replace(observations=collections.OrderedDict(b=leaf, a=leaf))
  networks = make_networks(spec, tiny_config())
  adder = RecordingAdder()
  policy = acting.make_evaluation_policy(networks, deterministic=True)
  actor = make_actor(policy=policy, spec=spec, adder=adder)
  observation = {'b': OBSERVATION, 'a': OBSERVATION}
  with pytest.raises(ValueError, match=r'observation is .*\{.*takes .*OrderedDict'):
    actor.observe_first(dm_env.restart(observation))
  assert adder.added == []
  actor.observe_first(dm_env.restart(collections.OrderedDict(observation)))
  assert len(adder.added) == 1


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_observations_that_are_not_finite_are_refused_and_not_recorded(bad):
  adder = RecordingAdder()
  actor = make_actor(adder=adder)
  observation = np.array([0.5, bad], np.float32)
  message = rf'observation that is not finite: .*{bad}'
  with pytest.raises(ValueError, match=message):
    actor.observe_first(dm_env.restart(observation))
  action = actor.select_action(OBSERVATION)
  with pytest.raises(ValueError, match=message):
    actor.observe(action, dm_env.transition(1.0, observation))
  assert adder.added == []


@pytest.mark.parametrize(
  ('bad', 'words'),
  [
    (np.nan, r'nan\. '),
    (np.inf, r'inf\. '),
    (None, r'nan \(None as float32\)'),
    (1e300, r'inf \(1e\+300 as float32\)'),
  ],
)
@pytest.mark.parametrize('field', ['reward', 'discount'])
def test_rewards_and_discounts_are_refused_where_the_spec_s_dtype_has_no_such_number(
  field, bad, words
):
  adder = RecordingAdder()
  actor = make_actor(adder=adder)
  timestep = dm_env.transition(1.0, OBSERVATION, 1.0)._replace(**{field: bad})
  with pytest.raises(ValueError, match=f'{field} that is not finite: {words}'):
    actor.observe(np.zeros(1), timestep)
  assert adder.added == []


def test_python_floats_are_recorded_in_the_dtypes_of_the_spec():
  adder = RecordingAdder()
  actor = make_actor(adder=adder)
  actor.observe(np.zeros(1, np.float32), dm_env.transition(2.5, OBSERVATION, 1.0))
  ((_, timestep),) = adder.added
  assert timestep.reward == 2.5
  assert timestep.reward.dtype == timestep.discount.dtype == np.float32
  assert timestep.discount == 1.0


@pytest.mark.parametrize('field', ['reward', 'discount'])
def test_rewards_and_discounts_of_another_shape_are_refused_by_name(field):
  timestep = dm_env.transition(1.0, OBSERVATION, 1.0)._replace(**{field: np.ones(1)})
  with pytest.raises(ValueError, match=rf'{field} of shape \(1,\).*one number'):
    make_actor().observe(np.zeros(1), timestep)


def test_observations_of_another_shape_than_the_spec_are_refused_at_once():
  with pytest.raises(ValueError, match=r'shape \(3,\); this policy takes \(2,\)'):
    make_actor().observe_first(dm_env.restart(np.zeros(3, np.float32)))


def test_what_is_stored_is_the_action_that_was_chosen_whatever_becomes_of_its_array():
  adder = RecordingAdder()
  actor = make_actor(Source(exploring=True), adder=adder)
  action = actor.select_action(OBSERVATION)
  chosen = float(action[0])
  action[:] = 7.0  # As by an environment that scales its action in place.
  actor.observe(action, dm_env.transition(1.0, OBSERVATION))
  actor.select_action(OBSERVATION)
  assert adder.added[0][0] == [chosen]


def test_an_action_of_somebody_else_s_is_stored_as_it_was_handed_over():
  adder = RecordingAdder()
  actor = make_actor(Source(exploring=True), adder=adder)
  demonstrated = actor.select_action(OBSERVATION) * 0 + MARKER
  actor.observe(demonstrated, dm_env.transition(1.0, OBSERVATION))
  demonstrated[:] = 7.0  # As by a demonstrator with one array for all actions.
  assert adder.added[0][0] == [MARKER]


def test_an_actor_without_an_adder_records_nothing():
  actor = make_actor()
  actor.observe_first(dm_env.restart(OBSERVATION))
  actor.observe(act(actor), dm_env.transition(1.0, OBSERVATION))
  actor.update()


def test_an_action_that_is_not_finite_never_reaches_the_environment():
  spec = spec_of(NumberedEnvironment()).actions
  with pytest.raises(NonFiniteActionError, match=r'nan.*lower learning_rate'):
    acting.to_environment(np.float32([np.nan]), spec)
