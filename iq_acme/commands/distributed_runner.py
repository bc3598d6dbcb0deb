"""One training run as a Launchpad program, with the folder of a local run."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from iq_acme.config import IQConfig
from iq_acme.storage.checkpoints import CheckpointInfo, CheckpointStore
from iq_acme.training import metrics_files, opening, plotting
from iq_acme.training.opening import Outcome
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings


def run(
  settings: RunSettings,
  config: IQConfig,
  launch_options: Mapping[str, Any],
  **program_settings: Any,
) -> Outcome:
  """Runs, or goes on with, the run of a folder until its last step or a signal.

  Args:
    settings: of the run.
    config: the agent's hyperparameters.
    launch_options: of `iq_acme.launch`, by name.
    **program_settings: fields of `ProgramSettings` that a resume may change.

  Returns:
    How it ended.

  Raises:
    RunDirectoryError: if the folder is in use or belongs to another run.
    ValueError: if the task or the settings do not fit, or the task cannot be made.
    NodeFailedError: if a node failed.
  """
  directory = RunDirectory(settings.workdir)
  with directory.lock():
    run_config = {**settings.config(), 'distributed': True}
    return opening.check_folder(directory, settings, run_config) or _run(
      settings, config, directory, run_config, launch_options, program_settings
    )


def _run(
  settings: RunSettings,
  config: IQConfig,
  directory: RunDirectory,
  run_config: dict[str, Any],
  launch_options: Mapping[str, Any],
  program_settings: Mapping[str, Any],
) -> Outcome:
  # Late, because they load TensorFlow.
  from iq_acme import launch, make_distributed_iq, make_environment

  start, learner_steps = _checkpoint_steps(directory, CheckpointStore.latest_intact)
  try:
    program = make_distributed_iq(
      functools.partial(make_environment, settings.env_name, **settings.env_options),
      config=config,
      **program_settings,
      seed=settings.seed,
      max_number_of_steps=settings.num_steps,
      workdir=directory.path,
      evaluation_period=settings.evaluation_period,
      evaluation_episodes=settings.evaluation_episodes,
      last_evaluation=_last_evaluation(directory, start),
      checkpoint_period=settings.checkpoint_period,
      environment_patience=settings.environment_patience,
      logger_factory=functools.partial(
        directory.make_logger, tensorboard=settings.tensorboard
      ),
      policy_metadata=settings.metadata(),
      evaluation_hook=directory.keep_best,
    )
  except RuntimeError as error:  # A task that cannot be made here, as a local run says.
    raise ValueError(str(error)) from error
  opening.open_folder(directory, settings, run_config, start, learner_steps)
  result = launch(program, log_dir=directory.logs, **launch_options)
  step, _ = _checkpoint_steps(directory, CheckpointStore.latest)
  directory.update_summary(
    finished=result.finished,
    actor_steps=step,
    **{k: v for k, v in result.counts.items() if k != 'actor_steps'},
  )
  plotting.plot_curve(directory.path)
  status = 0 if result.finished else 128 + result.signal_number
  return Outcome(result.finished, step, status)


def _checkpoint_steps(
  directory: RunDirectory,
  find: Callable[[CheckpointStore], CheckpointInfo | None],
) -> tuple[int, int]:
  """Returns the actor steps and SGD steps of a checkpoint, 0 without one.

  Args:
    directory: of the run.
    find: `latest_intact` for the one that a program will restore, which moves newer
      ones that are damaged aside; `latest` for the one that it has just written.
  """
  from iq_acme.agent.checkpoints import read_progress

  if not os.path.isdir(directory.checkpoints):
    return 0, 0
  found = find(CheckpointStore(directory.checkpoints))
  return (found.actor_steps, read_progress(found.path).sgd_steps) if found else (0, 0)


def _last_evaluation(directory: RunDirectory, start: int) -> int | None:
  """Returns the step of the last evaluation that a resume keeps."""
  rows = metrics_files.read_rows(directory.evaluations)
  steps = [int(row[metrics_files.STEP_COLUMN]) for row in rows]
  return max((step for step in steps if step <= start), default=None)
