"""Opens the folder of a run, local or distributed, and says how a run ended."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from iq_acme.training import events, versions
from iq_acme.training.run_directory import RunDirectory
from iq_acme.training.settings import RunSettings


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a run ended.

  Attributes:
    finished: whether it reached its last step, and everything is written.
    step: where it stands.
    exit_status: 0, or the shell's status for the signal that stopped it.
  """

  finished: bool
  step: int
  exit_status: int


def check_folder(
  directory: RunDirectory, settings: RunSettings, config: Mapping[str, Any]
) -> Outcome | None:
  """Refuses the folder of another run; changes nothing.

  Args:
    directory: the folder, locked.
    settings: of the run.
    config: what makes it this run, `settings.config()` at least.

  Returns:
    How the run ended, if it has reached its last step already; None otherwise.

  Raises:
    RunDirectoryError: if the folder belongs to another run.
  """
  directory.check_files()
  summary, defaults = directory.read_summary(), settings.defaults()
  done = summary.get(settings.counted_steps, 0)
  if not (summary.get('finished') and settings.num_steps <= done):
    directory.check_config(config, defaults)
    return None
  directory.check_config({**config, 'num_steps': done}, defaults)
  print(f'{settings.workdir} has already reached {done:,} steps.')
  return Outcome(finished=True, step=done, exit_status=0)


def open_folder(
  directory: RunDirectory,
  settings: RunSettings,
  config: Mapping[str, Any],
  step: int,
  learner_steps: int,
) -> None:
  """Records this start of a run, and drops what lies beyond the step it begins at.

  Args:
    directory: the folder, locked.
    settings: of the run.
    config: what makes it this run; see `check_folder`.
    step: the run's step.
    learner_steps: the SGD steps.
  """
  directory.write_config(config)
  directory.add_versions({settings.counted_steps: step, **versions.collect_versions()})
  directory.update_summary(finished=False)
  if cut := directory.cut_after(step, learner_steps):
    print(f'Dropped {cut} rows of metrics from beyond step {step:,}.', flush=True)
  if settings.tensorboard:
    events.mark_start(directory.tensorboard, step)
