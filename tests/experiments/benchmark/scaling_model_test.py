import pytest

from experiments.benchmark import scaling_model

# Numbers that are easy to work with by hand.
COSTS = scaling_model.NodeCosts(
  actor_seconds=0.01,
  update_seconds=0.002,
  transport_seconds=0.0005,
  replay_seconds=0.0001,
  counter_seconds=0.00002,
  transition_bytes=100,
  policy_bytes=3_000,
  variable_update_period=10,
)


def test_few_actors_are_what_saturates_first():
  found = scaling_model.predict(COSTS, num_actors=2, updates_per_step=1.0)
  assert found.bottleneck == 'actors'
  assert found.steps_per_second == pytest.approx(200)
  assert found.updates_per_second == pytest.approx(200)
  # 2 * 100 bytes of transitions and 300 of parameters a step.
  assert found.bytes_per_second == pytest.approx(100_000)


def test_many_actors_saturate_the_learner_or_what_carries_their_steps():
  found = scaling_model.predict(COSTS, num_actors=100, updates_per_step=1.0)
  assert (found.bottleneck, found.steps_per_second) == ('learner', pytest.approx(400))
  # 1 / (0.1 * 0.002 + 0.0005) steps, and a tenth as many updates.
  found = scaling_model.predict(COSTS, num_actors=10, updates_per_step=0.1)
  assert found.bottleneck == 'actors'
  found = scaling_model.predict(COSTS, num_actors=1000, updates_per_step=0.1)
  assert found.bottleneck == 'learner'
  assert found.steps_per_second == pytest.approx(1 / 0.0007)
  assert found.updates_per_second == pytest.approx(0.1 / 0.0007)


def test_costs_of_updates_and_of_transport_are_told_apart():
  # 100 updates at 2 ms and 100 steps at 0.5 ms; 10 updates and 200 steps.
  windows = [(0.25, 100, 100), (0.12, 10, 200)]
  assert scaling_model.solve_learner_costs(windows) == pytest.approx((0.002, 0.0005))


def test_table_has_a_line_for_each_prediction():
  predictions = [scaling_model.predict(COSTS, n, 1.0) for n in (1, 1000)]
  lines = scaling_model.table(predictions).splitlines()
  assert lines[2] == '| 1 | 100 | 100 | 0.1 | actors |'
  assert lines[3] == '| 1,000 | 400 | 400 | 0.2 | learner |'
