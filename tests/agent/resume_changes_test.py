"""A local agent that goes on under other settings than it was saved with."""

import pytest
from tiny_agents import agents_in, steps_in_replay
from tiny_environments import REPLAYS, Driver, NumberedEnvironment, tiny_config


@pytest.fixture
def make_agent(tmp_path):
  with agents_in(tmp_path) as make:
    yield make


def test_another_configuration_is_refused_by_the_array_that_does_not_fit(make_agent):
  agent = make_agent(tiny_config())
  Driver(NumberedEnvironment(), agent).run(5)
  agent.save()
  message = r'params\.policy.* is float32\[.*8.*\], expected float32\[.*16.*\]'
  with pytest.raises(ValueError, match=message):
    make_agent(tiny_config(hidden_layer_sizes=(16,)))


def test_an_agent_that_could_not_be_made_leaves_the_folder_to_others(make_agent):
  agent = make_agent(tiny_config())
  Driver(NumberedEnvironment(), agent).run(5)
  agent.save()
  with pytest.raises(ValueError, match='expected') as error:
    make_agent(tiny_config(hidden_layer_sizes=(16,)))
  # While the error and so its frames are alive.
  assert make_agent(tiny_config()).actor_steps == 5
  del error


@pytest.mark.parametrize('kind', REPLAYS)
def test_other_batch_settings_count_from_the_resume_on(make_agent, kind):
  agent = make_agent(tiny_config(replay=kind))
  Driver(NumberedEnvironment(), agent).run(30)
  agent.save()
  # 8 a batch and a step before; 4 of 16 now: one SGD step every fourth step.
  config = tiny_config(replay=kind, batch_size=16, samples_per_insert=4.0)
  agent = make_agent(config)
  taken = []
  Driver(NumberedEnvironment(), agent).run(9, lambda: taken.append(agent.learner_steps))
  assert taken == [10, 10, 10, 11, 11, 11, 11, 12, 12]
  agent.save()
  # And again as at first.
  agent = make_agent(tiny_config(replay=kind))
  Driver(NumberedEnvironment(), agent).run(3, lambda: taken.append(agent.learner_steps))
  assert taken[-3:] == [13, 14, 15]
  assert int(agent.learner.state.steps) == 15


@pytest.mark.parametrize(
  ('field', 'changed'), [('min_replay_size', 10), ('max_replay_size', 500)]
)
def test_a_table_that_keeps_its_old_size_is_not_taken_for_the_new(
  make_agent, field, changed
):
  config = tiny_config(replay='table')
  agent = make_agent(config)
  Driver(NumberedEnvironment(), agent).run(15)  # Still in the warm-up.
  agent.save()
  was = getattr(config, field)
  with pytest.raises(ValueError, match=f'^{field} is {changed} but was {was} when .*'):
    make_agent(tiny_config(replay='table', **{field: changed}))
  assert make_agent(config).replay_size() == 15


def test_a_ring_takes_new_sizes(make_agent):
  agent = make_agent(tiny_config(replay='resident'))
  Driver(NumberedEnvironment(), agent).run(15)
  agent.save()
  sizes = {'min_replay_size': 10, 'max_replay_size': 12}
  agent = make_agent(tiny_config(replay='resident', **sizes))
  assert agent.replay_size() == 12
  assert steps_in_replay(agent) == set(range(3, 15))
  Driver(NumberedEnvironment(), agent).run(3)
  assert (agent.actor_steps, agent.learner_steps) == (18, 3)


@pytest.mark.parametrize('kind', REPLAYS)
def test_a_saved_replay_of_the_other_kind_is_not_dropped(make_agent, kind):
  (other,) = set(REPLAYS) - {kind}
  agent = make_agent(tiny_config(replay=kind))
  Driver(NumberedEnvironment(), agent).run(5)
  agent.save()
  with pytest.raises(ValueError, match=r'IQConfig\.replay.*it would be lost'):
    make_agent(tiny_config(replay=other))
  make_agent(tiny_config(replay=kind), checkpoint_replay=False).save()
  assert make_agent(tiny_config(replay=other)).replay_size() == 0
