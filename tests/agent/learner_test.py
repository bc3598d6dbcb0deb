"""IQLearner: metrics, variables, save and restore."""

import functools
import threading

import jax
import numpy as np
import pytest
from acme.utils import counting
from tiny_environments import NumberedEnvironment, spec_of, tiny_config
from tiny_learners import (
  Rows,
  as_bytes,
  batches,
  make_learner,
  random_batch,
  run,
)

from iq_acme import update
from iq_acme.networks import make_networks


def test_rows_have_all_metrics_from_the_first_and_average_their_steps():
  config, logger = tiny_config(log_period=3), Rows()
  learner = make_learner(config, logger=logger)
  run(learner, 7)

  networks = make_networks(spec_of(NumberedEnvironment()), config)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  sgd_step = jax.jit(
    functools.partial(update.sgd_step, networks=networks, config=config)
  )
  steps = []
  for i in range(6):
    state, metrics = sgd_step(state, random_batch(i))
    steps.append({name: float(value) for name, value in metrics.items()})

  names = set(steps[0])
  expected_keys = names | {'learner_steps', 'learner_walltime', 'actor_steps'}
  assert [set(row) for row in logger.rows] == [expected_keys] * 2
  assert [row['learner_steps'] for row in logger.rows] == [3, 6]
  for row, part in zip(logger.rows, (steps[:3], steps[3:])):
    for name in names - {'log_policy_min'}:
      mean = sum(step[name] for step in part) / 3
      np.testing.assert_allclose(row[name], mean, rtol=1e-4, atol=1e-6)
    lowest = min(step['log_policy_min'] for step in part)
    np.testing.assert_allclose(row['log_policy_min'], lowest, rtol=1e-4)


def test_several_sgd_steps_a_step_are_counted_one_by_one():
  logger = Rows()
  config = tiny_config(num_sgd_steps_per_step=4, log_period=10)
  learner = make_learner(config, batches(10, size=32), logger=logger)
  run(learner, 5)
  assert int(learner.state.steps) == 20
  assert [row['learner_steps'] for row in logger.rows] == [12]


def test_metrics_that_wait_for_a_row_keep_no_arrays_of_the_device():
  learner = make_learner(tiny_config(log_period=100))
  run(learner, 6)
  before = len(jax.live_arrays())
  run(learner, 40)
  # A view of one in the host's memory would keep all of it, some 3 KB.
  assert len(jax.live_arrays()) < before + 10


def test_a_counter_with_a_prefix_counts_under_it_and_once():
  parent, logger = counting.Counter(), Rows()
  parent.increment(actor_steps=7, learner_walltime=1000.0)  # Of before a resume.
  counter = counting.Counter(parent, 'learner', time_delta=0.0)
  learner = make_learner(tiny_config(log_period=2), logger=logger, counter=counter)
  run(learner, 4)
  counts = parent.get_counts()
  assert set(counts) == {'actor_steps', 'learner_steps', 'learner_walltime'}
  assert counts['learner_steps'] == 4
  assert [row['learner_steps'] for row in logger.rows] == [2, 4]
  assert [row['actor_steps'] for row in logger.rows] == [7, 7]
  assert logger.rows[-1]['learner_walltime'] == counts['learner_walltime'] > 1000


def test_a_counter_without_the_prefix_counts_as_acmes_learners_do():
  counter, logger = counting.Counter(), Rows()
  learner = make_learner(tiny_config(log_period=2), logger=logger, counter=counter)
  run(learner, 4)
  assert set(counter.get_counts()) == {'steps', 'walltime'}
  assert counter.get_counts()['steps'] == 4
  assert logger.rows[-1]['learner_walltime'] == counter.get_counts()['walltime'] > 0


def test_variables_by_name_and_no_others():
  learner = make_learner()
  policy, value = learner.get_variables(['policy', 'value'])
  assert as_bytes(policy.params) == as_bytes(learner.state.params.policy)
  assert as_bytes(value) == as_bytes(learner.state.params.value)
  with pytest.raises(KeyError, match=r"critic.*'policy', 'value'"):
    learner.get_variables(['policy', 'critic'])


def test_exploration_ends_with_the_first_step_or_on_request():
  def exploring(learner):
    return bool(learner.get_variables(['policy'])[0].exploring)

  learner, other = make_learner(), make_learner(seed=1)
  assert exploring(learner)
  other.restore(learner.save())
  assert exploring(other)  # A state from before the first step changes nothing.
  run(learner, 1)
  assert not exploring(learner)
  other.restore(learner.save())
  assert not exploring(other)
  fresh = make_learner()
  fresh.end_exploration()
  assert not exploring(fresh)


def test_variables_fetched_by_another_thread_are_always_of_one_step():
  learner = make_learner(tiny_config(log_period=100_000))
  seen, errors, stop = set(), [], threading.Event()

  def fetch():
    try:
      while not stop.is_set():
        policy, value = learner.get_variables(['policy', 'value'])
        seen.add(as_bytes((policy.params, value)))
    except BaseException as error:
      errors.append(error)

  thread = threading.Thread(target=fetch, daemon=True)
  thread.start()
  states = [learner.state.params]
  while len(seen) < 5 and len(states) < 5000 and not errors:
    run(learner, 1)
    states.append(learner.state.params)
  stop.set()
  thread.join(60)
  assert not errors
  assert len(seen) >= 5
  assert seen <= {as_bytes((params.policy, params.value)) for params in states}


def test_save_and_restore_continue_bit_for_bit():
  config = tiny_config(normalize_observations=True)
  later = iter(list(batches(20))[5:])
  learner, other = make_learner(config), make_learner(config, later, seed=1)
  run(learner, 5)
  saved = learner.save()
  before = as_bytes(saved)
  assert as_bytes(learner.state) == before
  assert int(saved.steps) == 5
  assert float(saved.normalizer.count) == 5 * 8

  other.restore(saved)
  assert as_bytes(other.state) == before
  run(learner, 5)
  run(other, 5)
  assert as_bytes(other.state) == as_bytes(learner.state) != before
  assert as_bytes(saved) == before


def test_a_saved_state_of_another_shape_is_refused_with_both_shapes():
  learner = make_learner()
  other = make_learner(tiny_config(hidden_layer_sizes=(16,)))
  before = as_bytes(learner.state)
  with pytest.raises(ValueError, match='does not fit') as error:
    learner.restore(other.save())
  assert '(2, 16)' in str(error.value)
  assert '(2, 8)' in str(error.value)
  assert as_bytes(learner.state) == before


def test_one_seed_and_the_same_batches_give_the_same_state_bit_for_bit():
  states = []
  for seed in (3, 3, 4):
    learner = make_learner(seed=seed)
    run(learner, 10)
    states.append(as_bytes(learner.save()))
  assert states[0] == states[1] != states[2]
