"""IQBuilder in Acme's own layouts."""

import acme
import cloudpickle
import jax
import numpy as np
import pytest
from absl import flags
from acme.jax.layouts import distributed_layout, local_layout
from acme.testing import fakes
from acme.utils import counting
from launchpad import context as lp_context
from tiny_environments import REPLAYS, NumberedEnvironment, spec_of, tiny_config

from iq_acme import acting
from iq_acme.agent.builder import IQBuilder
from iq_acme.networks import make_networks

SPEC = spec_of(NumberedEnvironment())


class Logger:
  def __init__(self):
    self.rows = []

  def write(self, row):
    self.rows.append(row)

  def close(self):
    pass


@pytest.mark.parametrize(
  'overrides',
  [
    {},
    {'samples_per_insert': 4.0},
    {'num_sgd_steps_per_step': 4, 'samples_per_insert': 32.0},
    {'replay': 'table'},
    {'replay': 'table', 'num_sgd_steps_per_step': 4, 'samples_per_insert': 32.0},
  ],
  ids=['default', 'ratio 0.5', '4 a step', 'table', 'table, 4 a step'],
)
def test_learns_in_acmes_local_layout_with_the_tightest_limiter(overrides, tmp_path):
  environment = fakes.ContinuousEnvironment(
    bounded=True, action_dim=2, observation_dim=3, episode_length=25
  )
  spec = spec_of(environment)
  config = tiny_config(
    min_replay_size=40, samples_per_insert_tolerance_rate=1e-9, **overrides
  )
  networks, logger = make_networks(spec, config), Logger()
  counter = counting.Counter()
  agent = local_layout.LocalLayout(
    seed=0,
    environment_spec=spec,
    builder=IQBuilder(config, spec, lambda: logger),
    networks=networks,
    policy_network=acting.make_behavior_policy(networks),
    workdir=str(tmp_path),
    min_replay_size=config.min_replay_size,
    samples_per_insert=config.sampled_per_step,
    batch_size=config.batch_size,
    num_sgd_steps_per_step=config.num_sgd_steps_per_step,
    counter=counting.Counter(counter, 'learner', time_delta=0.0),
  )
  actor_counter = counting.Counter(counter, 'actor', time_delta=0.0)
  loop = acme.EnvironmentLoop(environment, agent, actor_counter)
  exploring = lambda: bool(agent.get_variables(['policy'])[0].exploring)  # noqa: E731
  loop.run_episode()
  assert exploring()
  for _ in range(3):
    loop.run_episode()
  assert not exploring()
  assert len(logger.rows) >= 1
  assert counter.get_counts()['learner_steps'] >= 30
  assert counter.get_counts()['actor_steps'] == 100
  assert logger.rows[-1]['actor_steps'] > 40
  params = agent.get_variables(['policy'])[0].params
  assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))
  agent._actor = None  # Its writer, which the server would wait for.
  agent._replay_server.stop()


@pytest.mark.parametrize('kind', REPLAYS)
def test_every_node_of_acmes_distributed_layout_can_be_pickled(kind):
  flags.FLAGS(['test'])  # What a node is bound to is asked of flags.
  config = tiny_config(replay=kind)
  program = distributed_layout.DistributedLayout(
    seed=0,
    environment_factory=lambda seed: NumberedEnvironment(),
    network_factory=lambda spec: make_networks(spec, config),
    builder=IQBuilder(config, SPEC),
    policy_network=acting.make_behavior_policy,
    num_actors=1,
    environment_spec=SPEC,
  ).build()
  assert set(program.groups) >= {'replay', 'learner', 'actor'}
  for nodes in program.groups.values():
    for node in nodes:
      node._initialize_context(lp_context.LaunchType.LOCAL_MULTI_PROCESSING, None)
      node.bind_addresses()
      cloudpickle.loads(cloudpickle.dumps(node.function))  # As Launchpad sends it.


def test_an_actor_without_parameters_is_refused():
  builder = IQBuilder(tiny_config(), SPEC)
  policy = acting.make_behavior_policy(make_networks(SPEC, tiny_config()))
  with pytest.raises(ValueError, match='variable_source is None'):
    builder.make_actor(jax.random.PRNGKey(0), policy)


def test_an_environment_that_is_not_supported_is_refused():
  with pytest.raises(ValueError, match='nested'):
    IQBuilder(tiny_config(), SPEC._replace(actions=[SPEC.actions]))
