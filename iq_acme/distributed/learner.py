"""The learner of a program: learns, serves variables, makes the checkpoints."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import reverb
from acme.utils import counting

from iq_acme import policy_io
from iq_acme.agent.checkpoints import AgentCheckpoints
from iq_acme.distributed.metrics import ExtendedLogger, TimedIterator
from iq_acme.distributed.replay_node import remove_scratch
from iq_acme.distributed.settings import ProgramParts, ProgramSettings
from iq_acme.schedule import Progress, UpdateSchedule, resume
from iq_acme.storage import files
from iq_acme.supervisor import supervision

# How long the learning thread may take to make a checkpoint that is due before another
# thread makes it: it may be waiting for transitions that never come.
_PATIENCE_SECONDS = 3.0
_POLL_SECONDS = 0.2
# How long the last checkpoint of a program waits for transitions on their way.
_DELIVERY_SECONDS = 2.0


class LearnerWorker:
  """An `IQLearner` that resumes, saves, and comes to an orderly end."""

  def __init__(
    self,
    name: str,
    parts: ProgramParts,
    settings: ProgramSettings,
    replay: reverb.Client,
    counter: Any,
  ):
    """Creates the learner and restores the newest checkpoint.

    Args:
      name: of the node.
      parts: what to make it from.
      settings: of the program.
      replay: a client of the replay server.
      counter: a client of the `StepCounter`, which is opened by `run`.
    """
    self._name = name
    self._parts = parts
    self._settings = settings
    self._counter = counter
    replay.server_info()  # Waits for the server, which picks its checkpoint first.
    self._checkpoints = AgentCheckpoints(
      settings.workdir, settings.keep_checkpoints, settings.checkpoint_replay
    )
    self._port = int(replay.server_address.rpartition(':')[-1])
    remove_scratch(settings.workdir, keep_port=self._port)
    # Syncs once a second, not at each step.
    local_counter = counting.Counter(counter, 'learner')
    self._metrics = ExtendedLogger(parts.logger_factory('learner'), self._extras)
    builder = parts.make_builder(settings.seed, self._metrics)
    self._replay = builder.replay
    self._batches = TimedIterator(builder.make_dataset_iterator(replay))
    key, _ = jax.random.split(jax.random.PRNGKey(settings.seed))  # As `LocalAgent`.
    self._networks = parts.make_networks()
    self._learner = builder.make_learner(
      key, self._networks, self._batches, replay, local_counter
    )
    self._requests = threading.Lock()
    self._request_time: float | None = None
    self._finish: tuple[int, bool] | None = None
    self._finished = False
    self._restored = self._restore()

  def get_variables(self, names: list[str]) -> list[Any]:
    """Variables for actors, as numpy arrays."""
    return jax.device_get(self._learner.get_variables(names))

  def snapshot(self) -> tuple[list[Any], int]:
    """Returns the variables of policy and value, and their SGD steps."""
    steps = int(self._learner.state.steps)
    return self.get_variables(['policy', 'value']), steps

  def statistics(self) -> dict[str, float]:
    """Returns how the learner does; see `_extras`."""
    return {'learner_steps': int(self._learner.state.steps), **self._measure()}

  def finish(self, actor_steps: int, catch_up: bool) -> None:
    """Asks for the last checkpoint and the policy.

    Args:
      actor_steps: environment steps that were taken.
      catch_up: whether to take all SGD steps that are due by then first.
    """
    self._finish = (actor_steps, catch_up)

  def is_finished(self) -> bool:
    """Returns whether what `finish` asked for is written."""
    return self._finished

  def run(self) -> None:
    """Learns until the program stops."""
    self._counter.open(self._restored)
    if records := supervision.Records.of_this_process():
      records.mark_opened()
    threading.Thread(target=self._watch, daemon=True).start()
    while not self._is_done():
      self._learner.step()
      if self._request_time is not None:
        self._serve_request()
    self._request_time = time.monotonic()
    self._serve_request()
    threading.Event().wait()

  def _is_done(self) -> bool:
    if self._finish is None:
      return False
    actor_steps, catch_up = self._finish
    due = self._schedule.sgd_steps_due(actor_steps) if catch_up else 0
    per_call = self._parts.config.num_sgd_steps_per_step
    return int(self._learner.state.steps) + per_call > due

  def _watch(self) -> None:
    """Says when a checkpoint is due, and makes it if the learner is held up."""
    try:
      while not self._finished:
        time.sleep(_POLL_SECONDS)
        now = time.monotonic()
        if self._request_time is None:
          if self._finish or self._checkpoint_is_due():
            self._request_time = now
        elif self._batches.waits_for() > _PATIENCE_SECONDS:
          self._serve_request()
    except BaseException as error:
      supervision.report_failure(self._name, error)

  def _checkpoint_is_due(self) -> bool:
    period = self._settings.checkpoint_period
    steps = self._counter.get_counts().get('actor_steps', 0)
    return steps // period > self._counted_at_save // period

  def _serve_request(self) -> None:
    with self._requests:
      # Where it has to catch up, the last checkpoint waits for that, or for the thread
      # that knows that no batch will come any more.
      waits = self._batches.waits_for() > _PATIENCE_SECONDS
      last = self._finish is not None and (self._is_done() or waits)
      unfit = self._finish is not None and not last
      if self._request_time is None or unfit or self._finished:
        return
      if last and self._finish[1]:
        self._await_deliveries()
      self._save()
      self._request_time = None
      if last:
        self._metrics.close()
        remove_scratch(self._settings.workdir)
        self._checkpoints.close()
        self._finished = True

  def _await_deliveries(self) -> None:
    """Waits a moment for the last transitions, which actors have sent by now.

    They may be on their way after the last SGD step that is due. What cannot come, such
    as the end of an n-step transition that was cut off, is not waited for long.
    """
    # Transitions of n > 1 steps are more than the steps: they may have paid for all
    # SGD steps that are due while the last of them still wait in the queue.
    self._replay.stop_limiting_inserts()
    deadline = time.monotonic() + _DELIVERY_SECONDS
    counted = int(self._counter.get_counts().get('actor_steps', 0))
    while self._delivered_steps(counted) < counted and time.monotonic() < deadline:
      time.sleep(_POLL_SECONDS / 4)

  def _save(self) -> None:
    counts = dict(self._counter.get_counts())
    actor_steps = self._delivered_steps(int(counts.get('actor_steps', 0)))
    state = self._learner.save()
    self._counted_at_save = counts.get('actor_steps', 0)
    counts |= {'actor_steps': actor_steps, 'learner_steps': int(state.steps)}
    info = self._checkpoints.save(
      Progress(actor_steps, int(state.steps), self._schedule, counts),
      learner_state=state,
      # Actors have no state: they begin new streams, see `ActorWorker`.
      actor_key=np.zeros(2, np.uint32),
      replay=self._replay,
    )
    self._saved_at = actor_steps
    policy_io.save_policy(
      self._settings.policy_path,
      self.get_variables(['policy'])[0],
      self._parts.environment_spec,
      self._parts.config,
      {**self._parts.policy_metadata, 'actor_steps': actor_steps},
      self._networks,
    )
    supervision.say(info.line())

  def _restore(self) -> Mapping[str, float]:
    """Restores the newest checkpoint; returns its counts, empty for a new run."""
    config = self._parts.config
    self._schedule = UpdateSchedule(
      samples_per_step=config.sampled_per_step,
      batch_size=config.batch_size,
      start_actor_steps=config.min_replay_size,
    )
    self._saved_at = self._counted_at_save = 0
    self._start = (0, 0)  # Actor steps and inserts that this start begins at.
    restored = self._checkpoints.restore(self._learner.state, self._replay)
    if restored is None:
      return {}
    progress = resume(
      restored.progress,
      self._schedule,
      learner=self._learner,
      learner_state=restored.learner_state,
      replay_size=self._replay.size,
      min_replay_size=config.min_replay_size,
    )
    self._schedule = progress.schedule
    self._saved_at = self._counted_at_save = progress.actor_steps
    self._start = (self._saved_at, self._replay.totals()[0])
    if self._saved_at >= config.min_replay_size:
      self._learner.end_exploration()
    supervision.say(
      f'Resumed at step {self._saved_at:,} from {files.readable_path(restored.path)}.'
    )
    return progress.counts

  def _delivered_steps(self, counted: int) -> int:
    """Returns the steps that are in replay; a resumed run takes the others anew.

    Those wait in the queue of a resident ring, or in the actors' writers.

    Args:
      counted: steps that actors have reported.
    """
    steps, inserted = self._start
    # Transitions of n steps can be a few more than the steps.
    delivered = min(
      counted - steps - self._replay.num_in_flight,
      self._replay.totals()[0] - inserted,
    )
    return max(self._saved_at, steps + delivered)

  def _extras(self) -> dict[str, float]:
    """Columns that a program adds to the learner's metrics.

    `learner_busy_fraction`: of the time since the last row, what the learner did not
    wait for replay. `samples_per_insert`: samples over the inserts that pay for them,
    all but the first `min_replay_size`, since the start of the run, or since a resume
    without its replay.
    """
    busy = self._batches.busy_fraction()
    return {**self._measure(), 'learner_busy_fraction': busy}

  def _measure(self) -> dict[str, float]:
    inserted, sampled = self._replay.totals()
    paying = inserted - self._parts.config.min_replay_size
    return {
      'replay_inserted': inserted,
      'replay_sampled': sampled,
      'samples_per_insert': sampled / paying if paying > 0 else 0.0,
    }
