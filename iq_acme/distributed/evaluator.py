"""The evaluator of a program: whole episodes every so many actor steps."""

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax

from iq_acme import acting, critics, evaluation, policy_io
from iq_acme.agent.actor import FixedVariables, IQActor
from iq_acme.distributed.settings import EVALUATOR, ProgramParts, ProgramSettings
from iq_acme.environments.watch import EnvironmentWatch, repeating
from iq_acme.supervisor import supervision

_POLL_SECONDS = 0.2


class EvaluatorWorker:
  """Evaluates the mode policy and the sampled one, in environments of its own.

  An evaluation takes the policy of the moment, and is written down at the step of that
  moment, a little beyond the multiple of the period that it was due at. Where an
  evaluation takes longer than a period, those that fall due meanwhile are left out. The
  step budget's own is left to `finish`, for until then the learner is not done.
  """

  def __init__(
    self,
    parts: ProgramParts,
    settings: ProgramSettings,
    counter: Any,
    learner: Any,
  ):
    """Creates the evaluator; nothing is asked of other nodes yet.

    Args:
      parts: what to make it from.
      settings: of the program.
      counter: a client of the `StepCounter`.
      learner: a client of the learner.
    """
    self._parts = parts
    self._settings = settings
    self._counter = counter
    self._learner = learner
    self._source = FixedVariables(None)  # Until the first evaluation.
    self._networks = networks = parts.make_networks()
    self._actors = {
      deterministic: IQActor(
        policy, parts.environment_spec, jax.random.PRNGKey(0), self._source
      )
      for deterministic, policy in acting.make_evaluation_policies(networks).items()
    }
    self._assess = critics.make_assess(networks)
    self._logger = parts.logger_factory('evaluator')
    self._last_step = self._seen_step = settings.last_evaluation
    self._last_seconds = math.nan
    self._watch = EnvironmentWatch()
    self._make_environment = self._watch.factory(parts.environment_factory)
    self._finish: bool | None = None
    self._finished = False

  def finish(self, evaluate: bool) -> None:
    """Asks for the last evaluation, or if `evaluate` is False, for none any more."""
    self._finish = evaluate

  def is_finished(self) -> bool:
    """Returns whether all that `finish` asked for is written."""
    return self._finished

  def run(self) -> None:
    """Evaluates whenever it is time to, until the program stops."""
    with repeating(
      lambda: self._counter.report(EVALUATOR, *self._watch.waits_for()),
      self._settings.report_seconds,
    ):
      self._evaluate_to_the_end()
      self._finished = True
      threading.Event().wait()

  def _evaluate_to_the_end(self) -> None:
    while self._counter.start_steps() is None and self._finish is None:
      time.sleep(_POLL_SECONDS)
    while self._finish is None:
      counts = self._counter.get_counts()
      if self._is_due(counts):
        self._evaluate(counts)
      else:
        time.sleep(_POLL_SECONDS)
    if self._finish:
      self._evaluate(self._counter.get_counts())
    self._logger.close()

  def make_evaluation_actor(self, *, deterministic: bool, seed: int) -> IQActor:
    """Returns an actor by the policy under evaluation."""
    actor = self._actors[deterministic]
    actor.random_key = jax.random.PRNGKey(seed)
    return actor

  def make_critic(self) -> critics.Critic:
    """Returns what the policy under evaluation expects, see `evaluate_agent`."""
    variables = (self._source.variables, self._value_params)
    return critics.Critic(self._parts.config.discount, variables, self._assess)

  def _is_due(self, counts: Mapping[str, float]) -> bool:
    step, period = counts.get('actor_steps', 0), self._settings.evaluation_period
    if step >= self._settings.max_number_of_steps:
      return False
    if self._seen_step is None:
      return True
    return step // period > self._seen_step // period

  def _evaluate(self, counts: Mapping[str, float]) -> None:
    """Evaluates the policy of this moment, unless that has been done."""
    step, seconds = (
      int(counts.get('actor_steps', 0)),
      counts.get('training_seconds', 0.0),
    )
    if step == self._last_step:
      return
    snapshot, learner_steps = self._learner.snapshot()
    self._source.variables, self._value_params = snapshot
    values = evaluation.evaluate_agent(
      self,
      self._make_environment,
      run_seed=self._settings.seed,
      step=step,
      num_episodes=self._settings.evaluation_episodes,
      should_stop=lambda: self._finish is False,
    )
    if values is None:
      return
    elapsed = seconds - self._last_seconds
    row = {
      'actor_steps': step,
      'learner_steps': learner_steps,
      **values,
      'training_seconds': seconds,
      'steps_per_second': (
        (step - self._last_step) / elapsed if elapsed > 0 else math.nan
      ),
    }
    self._logger.write(row)
    self._last_step, self._last_seconds = step, seconds
    self._seen_step = int(self._counter.get_counts().get('actor_steps', 0))
    supervision.say(evaluation.evaluation_line(step, row))
    if self._parts.evaluation_hook:
      self._parts.evaluation_hook(row, self._save_policy)

  def _save_policy(self, path: str, **metadata: Any) -> None:
    policy_io.save_policy(
      path,
      self._source.variables,
      self._parts.environment_spec,
      self._parts.config,
      {**self._parts.policy_metadata, 'actor_steps': self._last_step, **metadata},
      self._networks,
    )
