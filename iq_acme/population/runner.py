"""A population from settings to folders: steps, evaluations, checkpoints."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import dm_env
import numpy as np

from iq_acme import process, seeding
from iq_acme.population.checkpoints import PopulationCheckpoints
from iq_acme.population.environment_pool import EnvironmentPool
from iq_acme.population.evaluations import MemberEvaluations
from iq_acme.population.folders import Folders, describe_spread, population_line
from iq_acme.population.members import Member, make_population
from iq_acme.population.waiting import EnvironmentHangsError, Patience
from iq_acme.schedule import Progress, UpdateSchedule
from iq_acme.storage import files
from iq_acme.training import progress, quiet
from iq_acme.training.opening import Outcome


class _ProcessLost(Exception):
  """A process of environments has ended, maybe for want of memory."""


def run(
  members: Sequence[Member],
  make_environment: Callable[[int], dm_env.Environment],
  *,
  num_workers: int | None = None,
  keep_checkpoints: int = 2,
) -> Outcome:
  """Runs, or goes on with, a population until its last step or a signal.

  Signals end it as they end `training.runner.run`. A member whose environment raises, or
  whose loss is not finite, is stopped, and the others go on; a later start does not
  retry it. If a process of environments ends, which may be no member's fault, the run
  ends too, everything saved.

  Args:
    members: of one of `members.group`'s groups; each keeps its own folder, the first
      one's has the checkpoints of all.
    make_environment: makes an environment from a seed; it can be pickled.
    num_workers: see `EnvironmentPool`.
    keep_checkpoints: how many of the newest are kept.

  Returns:
    How it ended; exit status 1 if a member was stopped or a process lost.

  Raises:
    RunDirectoryError: if a folder is in use or belongs to another run.
  """
  with quiet.unbreakable_output(), contextlib.ExitStack() as stack:
    return PopulationRun(
      members, make_environment, num_workers, keep_checkpoints, stack
    ).run()


class PopulationRun:
  """The state of a population's run while it goes on; most callers want `run`."""

  def __init__(
    self,
    members: Sequence[Member],
    make_environment: Callable[[int], dm_env.Environment],
    num_workers: int | None,
    keep_checkpoints: int,
    stack: contextlib.ExitStack,
  ):
    """Opens the members' folders and goes on from their checkpoint, if there is one.

    Args:
      members: see `run`.
      make_environment: see `run`.
      num_workers: see `run`.
      keep_checkpoints: see `run`.
      stack: closes what this opens.
    """
    self._members = members
    self._settings = settings = members[0].settings
    self._config = config = members[0].config
    self._step = self._sgd_steps = 0
    self._progress: progress.Progress | None = None
    self._folders = Folders(members, stack, self._position)
    self._checkpoints = PopulationCheckpoints(self._folders.first, keep_checkpoints)
    self._stop = stack.enter_context(
      process.StopSignals(
        'finishing this step and saving. Once more ends the run at once, unsaved.'
      )
    )
    patience = Patience(settings.environment_patience, self._stop, self._say)
    self._pool = stack.enter_context(
      EnvironmentPool(make_environment, num_workers, waiting=patience.wait)
    )
    self._population, self._rows = make_population(members, self._pool.environment_spec)
    self._evaluations = MemberEvaluations(members, self._population, self._pool)
    self._schedule = UpdateSchedule(
      samples_per_step=getattr(config, 'sampled_per_step', config.batch_size),
      batch_size=config.batch_size,
      start_actor_steps=config.min_replay_size,
    )
    self._clock = progress.Clock(self._restore())
    self._saved_step = self._step
    self._folders.open(self._step, self._sgd_steps, self._clock.seconds)
    for index in np.flatnonzero(~self._folders.going()):
      self._population.stop(index)
    seeds = [
      seeding.derive_seeds(member.settings.seed, 'training', self._step, 1)[0]
      for member in members
    ]
    self._batch = stack.enter_context(contextlib.closing(self._pool.open(seeds)))
    # What the last step brought, until the next one is under way.
    self._pending: tuple[np.ndarray, np.ndarray, int] | None = None
    self._progress = stack.enter_context(
      contextlib.closing(
        progress.Progress(
          settings.num_steps,
          self._step,
          config.min_replay_size,
          sys.stderr,
          _describe_returns if len(members) > 1 else progress.describe_mean,
        )
      )
    )
    patience.has_begun = True

  def run(self) -> Outcome:
    """Trains until the last step or a signal, and leaves everything saved."""
    settings = self._settings
    try:
      self._evaluate_on_grid()
      while (
        self._step < settings.num_steps
        and not self._stop.requested()
        and self._folders.going().any()
      ):
        self._clock.start()
        self.take_step()
        self._evaluate_on_grid()
        if self._step % settings.checkpoint_period == 0:
          self._checkpoint()
        self._progress.update(self._step, self._clock.seconds)
      if not self._stop.requested():
        self._evaluate()  # If the last step is not on the grid.
    except EnvironmentHangsError:
      pass  # What the step under way would have brought is lost, nothing else.
    except _ProcessLost:
      self._progress.say(f'{self._pool.lost} The same command goes on from here.')
    self._clock.stop()
    self._checkpoint()
    finished = not self._stop.requested() and self._pool.lost is None
    self._folders.close(finished)
    failed = self._pool.lost is not None or not self._folders.going().all()
    return Outcome(finished, self._step, self._stop.exit_status or int(failed))

  @property
  def learner_steps(self) -> int:
    """SGD steps that each member has taken, or that are under way."""
    return self._sgd_steps

  def wait(self) -> None:
    """Waits for the SGD steps that are under way."""
    self._population.alive()

  def take_step(self) -> None:
    """Takes one environment step of each member, and begins the SGD steps before it."""
    going = self._folders.going()
    observations = self._batch.observations
    exploring = self._step < self._config.min_replay_size
    actions = self._population.act(self._step, observations, exploring)
    self._batch.send(actions, going)
    self._learn()  # While the environments step.
    results = self._batch.receive()
    self._check_processes()
    self._step += 1
    for index, text in results.failures.items():
      going[index] = False
      self._stop_member(index, f'its environment raised: {text.strip()}')
    rows, counts = self._rows.add(
      observations,
      actions,
      results.reward,
      results.discount,
      results.next_observation,
      results.last,
      going,
    )
    due = self._schedule.sgd_steps_due(self._step) - self._sgd_steps
    per_call = getattr(self._config, 'num_sgd_steps_per_step', 1)
    self._pending = (rows, counts, due // per_call * per_call)
    for index, episode in results.episodes.items():
      self._folders[index].records.add_episode(episode, self._clock.seconds)
      self._progress.add_episode(episode.episode_return)

  def _learn(self) -> None:
    """Begins the SGD steps that are due by the last environment step."""
    if self._pending is None:
      return
    rows, counts, num_updates = self._pending
    self._pending = None
    self._population.learn(rows, counts, num_updates)
    before, self._sgd_steps = self._sgd_steps, self._sgd_steps + num_updates
    period = self._config.log_period
    if self._sgd_steps // period > before // period:
      self._log()

  def _log(self) -> None:
    """Writes each member's metrics, and stops those that are not finite."""
    self._find_diverged()
    metrics = self._population.read_metrics()
    for index, folder in enumerate(self._folders):
      if folder.stopped is None:
        values = {name: float(column[index]) for name, column in metrics.items()}
        folder.records.learner.write(
          {**values, 'learner_walltime': self._clock.seconds}
        )

  def _find_diverged(self) -> None:
    alive = self._population.alive()
    for index in np.flatnonzero(self._folders.going() & ~alive):
      step = self._population.sgd_steps()[index] + 1
      self._stop_member(
        index,
        f'its loss or gradient was not finite at SGD step {step:,}; try a lower '
        'learning_rate, or a larger temperature',
      )

  def _stop_member(self, index: int, reason: str) -> None:
    folder = self._folders[index]
    if folder.stopped is not None:  # Its environment, made for nothing, failed too.
      return
    self._population.stop(index)
    folder.stop(reason)
    self._progress.say(
      f'{self._step:>11,}  {files.readable_path(folder.directory.path)} stopped: {reason}'
    )

  def _evaluate_on_grid(self) -> None:
    if self._step % self._settings.evaluation_period == 0:
      self._evaluate()

  def _evaluate(self) -> None:
    """Evaluates at this step, unless it has been done; a signal abandons it."""
    self._learn()
    self._clock.stop()
    self._find_diverged()
    going = self._folders.going() & [
      self._step not in x.records.evaluated for x in self._folders
    ]
    if not any(going):
      return
    try:
      found = self._evaluations.run(going, self._step, self._stop.requested)
    except EnvironmentHangsError:
      return
    self._check_processes()
    if found is None:
      return
    for index, text in found.failures.items():
      self._stop_member(index, f'its environment raised: {text.strip()}')
    rows = []
    for index, values in found.values.items():
      folder = self._folders[index]
      row = folder.records.add_evaluation(self._step, values, self._clock.seconds)
      rows.append(row)
      folder.directory.keep_best(
        {'actor_steps': self._step, **row}, self._policy_writer(index)
      )
    if rows:
      self._progress.say(population_line(self._step, rows))

  def _checkpoint(self) -> None:
    """Saves the population if it has gone on since, then each member's policy."""
    self._learn()
    self._clock.stop()
    self._find_diverged()
    if self._step > self._saved_step:
      counts = {'training_seconds': self._clock.seconds}
      checkpoint = self._checkpoints.save(
        self._population,
        Progress(self._step, self._sgd_steps, self._schedule, counts),
      )
      self._saved_step = self._step
      self._progress.say(checkpoint.line())
    for index, folder in enumerate(self._folders):
      folder.directory.update_summary(
        actor_steps=self._step, training_seconds=self._clock.seconds, finished=False
      )
      self._policy_writer(index)(folder.directory.policy)

  def _restore(self) -> float:
    """Goes on from the newest checkpoint; returns the seconds of training until it."""
    restored = self._checkpoints.restore(self._population)
    if restored is None:
      return 0.0
    saved, path = restored
    self._step, self._sgd_steps = saved.actor_steps, saved.sgd_steps
    self._schedule = saved.schedule
    print(f'Resumed at step {self._step:,} from {files.readable_path(path)}.')
    return saved.counts['training_seconds']

  def _policy_writer(self, index: int) -> Callable[..., None]:
    """Returns what writes a member's policy, with more metadata by keywords."""

    def write(path: str, **more: Any) -> None:
      member = self._members[index]
      metadata = {**member.settings.metadata(), 'actor_steps': self._step, **more}
      self._population.algorithm.save_policy(
        path, self._population.member(index), member.config, files.as_json(metadata)
      )

    return write

  def _check_processes(self) -> None:
    if self._pool.lost is not None:
      raise _ProcessLost

  def _say(self, text: str) -> None:
    print(text, flush=True) if self._progress is None else self._progress.say(text)

  def _position(self) -> dict[str, int]:
    return {'actor_steps': self._step, 'learner_steps': self._sgd_steps}


def _describe_returns(returns: Sequence[float]) -> str:
  return f'returns {describe_spread(returns)}'
