"""What the runner asks of an agent, so that it can run others than ours."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import dm_env

from iq_acme import evaluation
from iq_acme.episodes import Actor
from iq_acme.storage.checkpoints import CheckpointInfo
from iq_acme.training import metrics_files


class Agent(Actor, evaluation.EvaluatedAgent, Protocol):
  """An Acme actor that learns, evaluates, saves and restores itself.

  Made with a folder that holds checkpoints, it continues from the last good one.

  Attributes:
    actor_steps: environment steps observed, over all starts of the run.
    learner_steps: SGD steps, likewise.
    learning_starts: the actor step of the first update.
    restored_from: the checkpoint it continues from, None for a new agent.
  """

  actor_steps: int
  learner_steps: int
  learning_starts: int
  restored_from: str | None

  def update(self) -> None:
    """Learns, if it is time to; called after every environment step."""

  def learn_offline(self) -> None:
    """Learns from what replay holds, without an environment step."""

  def save(self) -> CheckpointInfo:
    """Saves everything a resume needs, whole or not at all."""

  def save_policy(self, path: str, metadata: Mapping[str, Any]) -> None:
    """Saves the policy alone, whole or not at all."""

  def close(self) -> None:
    """Releases what the agent holds."""


# Makes an agent from the environment, the run's folder, and the logger that takes its
# learner's metrics. The folder is where checkpoints go.
AgentFactory = Callable[[dm_env.Environment, str, metrics_files.Logger], Agent]
