"""One training run of any agent: steps, evaluations, checkpoints, files."""

import contextlib
from typing import Any

from iq_acme import evaluation, process, seeding
from iq_acme.environments.watch import EnvironmentWatch
from iq_acme.episodes import EnvironmentStepper
from iq_acme.storage import files
from iq_acme.training import hangs, metrics_files, opening, plotting, progress, quiet
from iq_acme.training.opening import Outcome
from iq_acme.training.protocols import AgentFactory
from iq_acme.training.records import RunRecords
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings


def run(
  settings: RunSettings,
  make_environment: evaluation.EnvironmentFactory,
  make_agent: AgentFactory,
) -> Outcome:
  """Runs, or goes on with, the run of a folder until its last step or a signal.

  SIGINT, SIGTERM and SIGHUP end it after the current step with everything saved; see
  `process.StopSignals`. Whatever the agent raises ends it too, and leaves the last
  checkpoint as it was.

  Args:
    settings: of the run.
    make_environment: makes an environment from a seed.
    make_agent: makes the agent.

  Returns:
    How it ended.

  Raises:
    RunDirectoryError: if the folder is in use or belongs to another run.
  """
  directory = RunDirectory(settings.workdir, settings.counted_steps)
  with (
    quiet.unbreakable_output(),
    directory.lock(),
    contextlib.ExitStack() as stack,
  ):
    return opening.check_folder(directory, settings, settings.config()) or (
      _Run(settings, directory, make_environment, make_agent, stack).run()
    )


class _Run:
  """The state of a run while it goes on."""

  def __init__(
    self,
    settings: RunSettings,
    directory: RunDirectory,
    make_environment: evaluation.EnvironmentFactory,
    make_agent: AgentFactory,
    stack: contextlib.ExitStack,
  ):
    self._settings = settings
    self._directory = directory
    watch = EnvironmentWatch()
    self._make_environment = make_environment = watch.factory(make_environment)
    self._progress: progress.Progress | None = None
    self._stop = stack.enter_context(
      process.StopSignals(
        'finishing this step and saving. Once more ends the run at once, unsaved.'
      )
    )
    stack.enter_context(
      hangs.naming_hangs(
        watch,
        settings.environment_patience,
        self._stop,
        self._say,
        directory.last_checkpoint,
      )
    )
    terminal = stack.enter_context(quiet.without_reverb_lines())
    self._records = RunRecords(directory, settings.tensorboard, self._position, stack)
    # An environment first, to know its specs; its seed depends on where the agent is.
    with contextlib.closing(make_environment(0)) as environment:
      self._agent = make_agent(environment, directory.path, self._records.learner)
    stack.enter_context(contextlib.closing(self._agent))
    self._saved_step = self._step
    self._open_directory()
    if not settings.is_offline:
      (seed,) = seeding.derive_seeds(settings.seed, 'training', self._saved_step, 1)
      environment = stack.enter_context(contextlib.closing(make_environment(seed)))
      self._stepper = EnvironmentStepper(environment)
    self._progress = stack.enter_context(
      contextlib.closing(
        progress.Progress(
          settings.num_steps, self._saved_step, self._agent.learning_starts, terminal
        )
      )
    )

  def run(self) -> Outcome:
    """Trains until the last step or a signal, and leaves everything saved."""
    settings = self._settings
    self._evaluate_on_grid()
    while self._step < settings.num_steps and not self._stop.requested():
      self._clock.start()
      if settings.is_offline:
        self._agent.learn_offline()
      else:
        self._take_step()
      self._evaluate_on_grid()
      if self._step % settings.checkpoint_period == 0:
        self._checkpoint()
      self._progress.update(self._step, self._clock.seconds)
    self._clock.stop()
    if not self._stop.requested():
      self._evaluate()  # If the last step is not on the grid.
    self._checkpoint()
    # A signal during the last evaluation has abandoned it.
    finished = not self._stop.requested()
    self._directory.update_summary(finished=finished)
    return Outcome(finished, self._step, self._stop.exit_status)

  @property
  def _step(self) -> int:
    """Where the run stands, in the steps that it counts."""
    return self._position()[self._settings.counted_steps]

  def _take_step(self) -> None:
    """Takes one environment step, and the SGD steps that are due by then."""
    episode = self._stepper.step(self._agent)
    self._agent.update()
    if episode is not None:
      self._records.add_episode(episode, self._clock.seconds)
      self._progress.add_episode(episode.episode_return)

  def _evaluate_on_grid(self) -> None:
    if self._step % self._settings.evaluation_period == 0:
      self._evaluate()

  def _evaluate(self) -> None:
    """Evaluates at this step, unless it has been done; a signal abandons it."""
    step = self._step
    if step in self._records.evaluated:
      return
    self._clock.stop()
    values = evaluation.evaluate_agent(
      self._agent,
      self._make_environment,
      run_seed=self._settings.seed,
      step=step,
      num_episodes=self._settings.evaluation_episodes,
      should_stop=self._stop.requested,
    )
    if values is None:
      return
    values = self._records.add_evaluation(step, values, self._clock.seconds)
    self._progress.say(evaluation.evaluation_line(step, values))
    best = {self._settings.counted_steps: step, **values}
    self._directory.keep_best(best, self._save_policy)

  def _checkpoint(self) -> None:
    """Saves the agent if it has gone on since, then its policy and the curve."""
    step = self._step
    self._clock.stop()
    if step > self._saved_step:
      checkpoint = self._agent.save()
      self._saved_step = step
      self._directory.update_summary(
        **{self._settings.counted_steps: step},
        training_seconds=self._clock.seconds,
        finished=False,
      )
      self._progress.say(checkpoint.line())
    self._save_policy(self._directory.policy)
    plotting.plot_curve(self._directory.path)

  def _say(self, text: str) -> None:
    print(text, flush=True) if self._progress is None else self._progress.say(text)

  def _save_policy(self, path: str, **more: Any) -> None:
    metadata = {
      **self._settings.metadata(),
      self._settings.counted_steps: self._step,
      **more,
    }
    self._agent.save_policy(path, metadata=files.as_json(metadata))

  def _open_directory(self) -> None:
    """Makes the folder fit the step that the agent starts from."""
    directory, step = self._directory, self._step
    if self._agent.restored_from is not None:
      path = files.readable_path(self._agent.restored_from)
      print(f'Resumed at step {step:,} from {path}.')
    opening.open_folder(
      directory,
      self._settings,
      self._settings.config(),
      step,
      self._agent.learner_steps,
    )
    self._clock = progress.Clock(self._seconds_until(step))
    self._records.open(step, self._clock.seconds)

  def _seconds_until(self, step: int) -> float:
    """Returns the training seconds that a resumed run has behind it."""
    summary = self._directory.read_summary()
    if (
      summary.get(self._settings.counted_steps) == step
      and 'training_seconds' in summary
    ):
      return summary['training_seconds']
    # Killed between a checkpoint and its summary: the last episode is near enough, or
    # offline, where there are none, the last evaluation.
    rows = metrics_files.read_rows(self._directory.episodes)
    rows = rows or metrics_files.read_rows(self._directory.evaluations)
    return rows[-1].get('training_seconds', 0.0) if rows else 0.0

  def _position(self) -> dict[str, int]:
    return {
      'actor_steps': self._agent.actor_steps,
      'learner_steps': self._agent.learner_steps,
    }
