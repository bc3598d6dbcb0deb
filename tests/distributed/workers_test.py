"""Coordinator and evaluator, with other nodes that are made up."""

import threading
import time
import types
from concurrent import futures

import distributed_programs
import pytest
from tiny_environments import NumberedEnvironment, spec_of, tiny_config

from iq_acme import evaluation, make_networks
from iq_acme.compat import loopback
from iq_acme.distributed import coordinator as coordinator_module
from iq_acme.distributed.coordinator import CoordinatorWorker
from iq_acme.distributed.evaluator import EvaluatorWorker
from iq_acme.distributed.settings import EVALUATOR, ProgramParts, ProgramSettings
from iq_acme.supervisor import supervision
from iq_acme.training import metrics_files


def test_episodes_that_end_together_are_logged_one_after_another(tmp_path):
  for trial in range(20):
    path = tmp_path / f'episodes{trial}.csv'
    coordinator = CoordinatorWorker(
      ProgramSettings(num_actors=4, seed=0, max_number_of_steps=1, workdir='unused'),
      lambda label, path=str(path): metrics_files.CsvFile(path),
      counter=None,
      learner=None,
      evaluator=None,
    )
    barrier = threading.Barrier(4)

    def record(coordinator=coordinator, barrier=barrier):
      barrier.wait()
      coordinator.record_episode({'episode_return': 1.0})

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 5 and sum('episode_return' in line for line in lines) == 1


# Of a program at the end of its budget.
_COUNTER = types.SimpleNamespace(
  start_steps=lambda: 0,
  increment=lambda **unused: {'actor_steps': 9},
  close=lambda: None,
  num_retired=lambda: 1,
  silent=lambda nodes, patience: {},
)


def _answered(value):
  answer = futures.Future()
  answer.set_result(value)
  return answer


class _Node:
  """A learner or an evaluator, as the coordinator sees it.

  It comes to its complete end only where `is_quick`, to the other one at once.
  """

  def __init__(self, is_quick, on_finish=lambda: None):
    self.is_quick = is_quick
    self.asked = []
    self._on_finish = on_finish

  def finish(self, *arguments):
    self.asked.append(arguments)
    self._on_finish()

  def is_finished(self):
    complete = self.asked and self.asked[-1][-1]
    return bool(self.asked) and (self.is_quick or not complete)

  @property
  def futures(self):  # Of Courier: the same calls, without waiting.
    return types.SimpleNamespace(
      finish=self.finish, is_finished=lambda: _answered(self.is_finished())
    )

  def statistics(self):
    return {'samples_per_insert': 1.0}


@pytest.mark.parametrize(
  ('slow', 'learner_asked', 'evaluator_asked', 'finished'),
  [
    (None, [(9, True)], [(True,)], True),
    ('learner', [(9, True), (9, False)], [(False,)], False),
    ('evaluator', [(9, True)], [(True,), (False,)], False),
  ],
)
def test_stopping_in_the_last_phase_cuts_it_short(
  slow, learner_asked, evaluator_asked, finished, monkeypatch
):
  stop, results = threading.Event(), []
  learner, evaluator = (
    _Node(slow != name, stop.set if slow == name else lambda: None)
    for name in ('learner', 'evaluator')
  )
  monkeypatch.setattr(coordinator_module.lp, 'stop', lambda: None)
  records = types.SimpleNamespace(stop_requested=stop.is_set, set_result=results.append)
  monkeypatch.setattr(supervision.Records, 'of_this_process', lambda: records)
  worker = CoordinatorWorker(
    ProgramSettings(num_actors=1, seed=0, max_number_of_steps=9, workdir='unused'),
    lambda label: types.SimpleNamespace(close=lambda: None),
    _COUNTER,
    learner,
    evaluator,
  )
  worker.run()
  assert learner.asked == learner_asked
  assert evaluator.asked == evaluator_asked
  assert [result['finished'] for result in results] == [finished]


def test_an_evaluator_that_does_not_even_answer_holds_up_no_end(monkeypatch, capsys):
  silent = iter([{}, {}, {}])  # As long as its last report is not old.
  results = []
  monkeypatch.setattr(coordinator_module.lp, 'stop', lambda: None)
  records = types.SimpleNamespace(
    stop_requested=lambda: False, set_result=results.append
  )
  monkeypatch.setattr(supervision.Records, 'of_this_process', lambda: records)
  monkeypatch.setattr(supervision, 'say', print)

  def is_silent(nodes, patience):
    return next(silent, {'evaluator/0': ('step', 60.0)}) if EVALUATOR in nodes else {}

  worker = CoordinatorWorker(
    ProgramSettings(num_actors=1, seed=0, max_number_of_steps=9, workdir='unused'),
    lambda label: types.SimpleNamespace(close=lambda: None),
    types.SimpleNamespace(
      **{**vars(_COUNTER), 'silent': is_silent, 'give_back': lambda node: 0}
    ),
    _Node(True),
    # It has no calls that are waited for.
    types.SimpleNamespace(
      futures=types.SimpleNamespace(
        finish=lambda complete: futures.Future(), is_finished=futures.Future
      )
    ),
  )
  worker.run()
  assert [result['finished'] for result in results] == [True]
  assert 'evaluator/0: its environment has not returned' in capsys.readouterr().out


def test_program_of_another_launcher_says_once_who_can_reach_it(monkeypatch, capsys):
  monkeypatch.setattr(coordinator_module.lp, 'stop', lambda: None)
  told = []
  for choice in (None, 'local', 'all'):
    if choice:
      monkeypatch.setenv(loopback.VARIABLE, choice)
    worker = CoordinatorWorker(
      ProgramSettings(num_actors=1, seed=0, max_number_of_steps=9, workdir='unused'),
      lambda label: types.SimpleNamespace(close=lambda: None),
      _COUNTER,
      _Node(True),
      _Node(True),
    )
    worker.run()
    told.append(capsys.readouterr().out)
  assert 'every interface' in told[0] and 'IQ_ACME_LISTEN=local' in told[0]
  assert told[0].count('\n') == 1 and told[1:] == ['', '']


class _Counter:
  """The counter of a program, as the evaluator sees it: one answer after another."""

  def __init__(self, *answers):
    self._answers = list(answers)
    self.is_exhausted = threading.Event()

  def start_steps(self):
    return 0

  def get_counts(self):
    if len(self._answers) == 1:  # The last one is for ever.
      self.is_exhausted.set()
      return {'actor_steps': self._answers[0]}
    return {'actor_steps': self._answers.pop(0)}


@pytest.mark.parametrize(
  ('last', 'steps', 'is_due'),
  [
    (None, 0, True),
    (0, 9, False),
    (0, 10, True),
    (27, 29, False),
    (27, 30, True),
    (None, 100, False),
    (90, 100, False),  # The budget, which waits until the learner has caught up.
  ],
)
def test_evaluation_is_due_at_multiples_but_for_the_budget(
  last, steps, is_due, tmp_path, monkeypatch
):
  counter = _Counter(steps, steps)
  evaluated = _evaluated_steps(counter, tmp_path, monkeypatch, last_evaluation=last)
  assert evaluated == [steps] * is_due


def test_multiples_that_pass_during_an_evaluation_are_left_out(tmp_path, monkeypatch):
  # At 11 it is due, and after it there are 27 steps.
  counter = _Counter(11, 27, 29, 30, 31)
  evaluated = _evaluated_steps(counter, tmp_path, monkeypatch, last_evaluation=0)
  assert evaluated == [11, 30]


def _evaluated_steps(counter, tmp_path, monkeypatch, **settings):
  """The steps of the evaluations that are made until the counter's last answer."""
  values = {
    f'{m}_return_{s}': 0.0 for m in ('mode', 'sampled') for s in ('mean', 'std')
  }
  monkeypatch.setattr(evaluation, 'evaluate_agent', lambda *a, **k: values)
  rows = []
  logger = types.SimpleNamespace(write=rows.append, close=lambda: None)
  parts = ProgramParts(
    config=tiny_config(),
    environment_spec=spec_of(NumberedEnvironment()),
    environment_factory=distributed_programs.TinyFactory(),
    network_factory=make_networks,
    logger_factory=lambda label: logger,
    policy_metadata={},
  )
  settings = ProgramSettings(
    num_actors=1,
    seed=0,
    max_number_of_steps=100,
    workdir=str(tmp_path),
    evaluation_period=10,
    **settings,
  )
  learner = types.SimpleNamespace(snapshot=lambda: ((None, None), 5))
  worker = EvaluatorWorker(parts, settings, counter, learner)
  threading.Thread(target=worker.run, daemon=True).start()
  assert counter.is_exhausted.wait(60)
  worker.finish(False)
  deadline = time.monotonic() + 60
  while not worker.is_finished() and time.monotonic() < deadline:
    time.sleep(0.01)
  assert worker.is_finished()
  return [row['actor_steps'] for row in rows]
