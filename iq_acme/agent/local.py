"""Any Acme builder's agent in one process, which counts exactly and resumes."""

from collections.abc import Mapping
from typing import Any

import acme
import dm_env
import jax
import numpy as np
from acme.agents.jax import builders
from acme.utils import counting

from iq_acme.agent.checkpoints import AgentCheckpoints, RestoredAgent
from iq_acme.agent.contracts import AcmeParts, Replay
from iq_acme.agent.local_settings import LocalSettings
from iq_acme.schedule import Progress, UpdateSchedule, resume
from iq_acme.storage.checkpoints import CheckpointInfo
from iq_acme.transitions import Transition


class LocalAgent(acme.Actor, acme.core.VariableSource):
  """Acting and learning in one thread, in the order of a textbook.

  `update` after each environment step takes the SGD steps that are due by then, which
  it counts exactly and goes on counting after a resume. Acme's own local layout
  stumbles there in three ways: it floors the ratio, it forgets its count on resume,
  and it lets Reverb hand out early batches of the same few transitions.
  """

  def __init__(
    self,
    builder: builders.ActorLearnerBuilder,
    networks: Any,
    policy: Any,
    environment_spec: acme.specs.EnvironmentSpec,
    settings: LocalSettings,
    *,
    seed: int = 0,
    counter: counting.Counter | None = None,
    demonstrations: Transition | None = None,
    evaluation_policies: Mapping[bool, Any] | None = None,
  ):
    """Creates the agent and restores the newest intact checkpoint of its workdir.

    SGD steps go on from its counts. If `samples_per_step`, `batch_size` or
    `num_sgd_steps_per_step` have changed meanwhile, the steps due by then stay what
    they were, and those to come follow the new ratio.

    Args:
      builder: makes the parts; see `contracts` for what they may offer beyond Acme's.
        With a workdir the learner's state has to be a nest of arrays, and the actor has
        to have a `random_key`, as Acme's own do.
      networks: what the builder's learner trains.
      policy: what the builder's actor acts by.
      environment_spec: the environment's specs.
      settings: sizes, ratio and checkpoints.
      seed: what parameters and actions are drawn from.
      counter: counts `learner_steps` and `learner_walltime`. If it is None the agent
        counts `actor_steps` too; if it is given whoever runs the environment does, as
        Acme's `EnvironmentLoop` with `counting.Counter(counter, 'actor')`.
      demonstrations: transitions [N, ...] that replay begins with, such as those of
        `datasets.read_transitions`. They count for `min_replay_size`: so many fewer
        environment steps are taken before learning starts. A checkpoint that holds
        replay holds them too; they are put in again only if it does not.
      evaluation_policies: what actors are evaluated by, deterministic (True) or not
        (False); see `make_evaluation_actor`.

    Raises:
      WorkdirInUseError: if another agent has the workdir.
      DamagedCheckpointsError: if it has checkpoints, and none is intact.
      ValueError: if the checkpoint belongs to another configuration, the actor has
        no key that a checkpoint could hold, or replay no room for the demonstrations.
    """
    self._settings = settings
    self._builder = builder
    self._evaluation_policies = evaluation_policies
    self._counts_steps = counter is None
    self.counter = counter or counting.Counter()
    self._actor_steps = 0
    self._sgd_steps = self._offline_sgd_steps = 0
    self._saved_at = 0
    self._demonstrations = demonstrations
    known = 0 if demonstrations is None else len(demonstrations.reward)
    self._exploration_steps = max(0, settings.min_replay_size - known)
    self._schedule = UpdateSchedule(
      samples_per_step=settings.samples_per_step,
      batch_size=settings.batch_size,
      start_actor_steps=self._exploration_steps,
    )
    self.restored_from: str | None = None
    self._checkpoints = self._parts = None
    try:
      self._start(networks, policy, environment_spec, seed)
    except BaseException:
      self.close()
      raise

  def _start(
    self,
    networks: Any,
    policy: Any,
    environment_spec: acme.specs.EnvironmentSpec,
    seed: int,
  ) -> None:
    """Takes the workdir, makes the parts, and restores them if there is what to."""
    settings = self._settings
    if settings.workdir is not None:
      self._checkpoints = AgentCheckpoints(
        settings.workdir, settings.keep_checkpoints, settings.checkpoint_replay
      )
    self._parts = AcmeParts(
      self._builder,
      networks,
      policy,
      environment_spec,
      seed=seed,
      counter=counting.Counter(self.counter, 'learner', time_delta=0.0),
      make_checkpointer=self._checkpoints and self._checkpoints.reverb_checkpointer,
    )
    self.learner = self._parts.learner
    self._restore()

  @property
  def actor(self) -> acme.Actor | None:
    """The actor that collects data; None once the agent is closed."""
    return self._parts.actor

  @property
  def replay(self) -> Replay:
    """Where transitions are kept; a ring shows them by its `transitions`."""
    return self._parts.replay

  def select_action(self, observation: Any) -> np.ndarray:
    return self.actor.select_action(observation)

  def observe_first(self, timestep: dm_env.TimeStep) -> None:
    self.actor.observe_first(timestep)

  def observe(self, action: np.ndarray, next_timestep: dm_env.TimeStep) -> None:
    self.actor.observe(action, next_timestep)
    self._actor_steps += 1
    if self._counts_steps:
      self.counter.increment(actor_steps=1)

  def update(self) -> None:
    """Takes the SGD steps that are due, and a checkpoint if one is."""
    due = self._schedule.sgd_steps_due(self._actor_steps) - self._sgd_steps
    for _ in range(due // self._settings.num_sgd_steps_per_step):
      self._learn()
    self._maybe_end_exploration()
    self.actor.update()
    every = self._settings.checkpoint_every
    if every is not None and self._actor_steps - self._saved_at >= every:
      self.save()

  def learn_offline(self) -> None:
    """Takes SGD steps that no environment step pays for: one call of the learner's.

    Replay has to hold `min_replay_size` transitions.
    """
    self._learn()
    per_call = self._settings.num_sgd_steps_per_step
    self._offline_sgd_steps += per_call
    self._schedule = self._schedule.after_offline(per_call)

  def _learn(self) -> None:
    self.learner.step()
    self._sgd_steps += self._settings.num_sgd_steps_per_step

  @property
  def actor_steps(self) -> int:
    """Environment steps taken since the start of the run, resumes included."""
    return self._actor_steps

  @property
  def learner_steps(self) -> int:
    """SGD steps taken since the start of the run, resumes included."""
    return self._sgd_steps

  @property
  def learning_starts(self) -> int:
    """The environment step after which SGD steps become due."""
    return self._schedule.start_actor_steps

  def get_variables(self, names: list[str]) -> list[Any]:
    return self.learner.get_variables(names)

  def make_evaluation_actor(self, *, deterministic: bool, seed: int = 0) -> acme.Actor:
    """Makes an actor that follows the current policy, records nothing, never explores.

    Args:
      deterministic: whether to take the policy's mode, or to sample.
      seed: what actions are sampled from.

    Raises:
      RuntimeError: if the agent was made without `evaluation_policies`.
    """
    if self._evaluation_policies is None:
      raise RuntimeError('This agent was made without evaluation_policies.')
    return self._builder.make_actor(
      jax.random.PRNGKey(seed),
      self._evaluation_policies[deterministic],
      variable_source=self.learner,
    )

  def replay_size(self) -> int:
    """Transitions in replay, over all its tables."""
    return self.replay.size

  def save(self) -> CheckpointInfo:
    """Makes a checkpoint of everything a resumed run needs, whole or not at all.

    Transitions on their way to replay arrive first, where later batches may find them
    earlier than without the call: the steps at which an agent is saved belong, beside
    its seed, to what determines it.

    Raises:
      RuntimeError: if the agent has no workdir, or is closed.
      NonFiniteLossError: if learning has gone wrong since the last checkpoint.
    """
    if self._checkpoints is None:
      raise RuntimeError('This agent was made without a workdir: nowhere to save.')
    if self.actor is None:
      raise RuntimeError("This agent is closed; its workdir may be another one's now.")
    if self._settings.checkpoint_replay:
      self._parts.flush()
    info = self._checkpoints.save(
      Progress(
        self._actor_steps,
        self._sgd_steps,
        self._schedule,
        self.counter.get_counts(),
        self._offline_sgd_steps,
      ),
      learner_state=self.learner.save(),
      actor_key=self._parts.random_key,
      replay=self.replay,
    )
    self._saved_at = self._actor_steps
    return info

  def close(self) -> None:
    """Ends the replay server and all else that the agent has started; idempotent.

    The agent cannot act or learn afterwards. Another one may use its workdir.
    """
    try:
      if self._parts is not None:
        self._parts.close()
    finally:
      if self._checkpoints is not None:
        self._checkpoints.close()

  def _restore(self) -> None:
    restored = self._checkpoints and self._checkpoints.restore(
      self._parts.learner_state, self.replay
    )
    if self._demonstrations is not None and self.replay_size() == 0:
      self.replay.fill(self._demonstrations)
    self._demonstrations = None  # They may take as much memory as replay does.
    if restored:
      self._go_on_from(restored)
    self._maybe_end_exploration()

  def _go_on_from(self, restored: RestoredAgent) -> None:
    self._parts.random_key = restored.actor_key
    progress = resume(
      restored.progress,
      self._schedule,
      learner=self.learner,
      learner_state=restored.learner_state,
      replay_size=self.replay_size(),
      min_replay_size=self._settings.min_replay_size,
    )
    self._actor_steps = self._saved_at = progress.actor_steps
    self._sgd_steps, self._schedule = progress.sgd_steps, progress.schedule
    self._offline_sgd_steps = progress.offline_sgd_steps
    # Acme's loop counts whole episodes: the one that the checkpoint fell into is missing.
    self.counter.restore({'counts': dict(progress.counts), 'cache': {}})
    self.restored_from = restored.path

  def _maybe_end_exploration(self) -> None:
    if self._actor_steps >= self._exploration_steps:
      self._parts.end_exploration()
