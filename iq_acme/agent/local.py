"""Any Acme builder's agent in one process, which counts exactly and resumes."""

import contextlib
import dataclasses
from typing import Any

import acme
import dm_env
import jax
import numpy as np
import reverb
from acme.agents.jax import builders
from acme.utils import counting

from iq_acme import fields
from iq_acme.agent.checkpoints import AgentCheckpoints
from iq_acme.agent.schedule import Progress, UpdateSchedule, resume
from iq_acme.compat import loopback
from iq_acme.replay.contents import ReplayContents, ServerContents, resident_replay
from iq_acme.storage.checkpoints import CheckpointInfo


@fields.documented
@dataclasses.dataclass(frozen=True)
class LocalSettings:
  """What a local agent needs to know besides its parts.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  batch_size: int = fields.integer(fields.REQUIRED, 'Transitions per SGD step.')
  min_replay_size: int = fields.integer(
    fields.REQUIRED, 'Environment steps before the first SGD step is due.', least=0
  )
  samples_per_step: float = fields.number(
    fields.REQUIRED, 'Sampled transitions per environment step.'
  )
  num_sgd_steps_per_step: int = fields.integer(
    1, "SGD steps that one call of the learner's `step` takes."
  )
  workdir: str | None = fields.free(
    None, 'Where checkpoints go and are restored from; none are made if None.'
  )
  checkpoint_every: int | None = fields.integer(
    None,
    'Environment steps between checkpoints made by `update`; None leaves them to '
    'calls of `save`.',
    optional=True,
  )
  keep_checkpoints: int = fields.integer(2, 'How many of the newest are kept.')
  checkpoint_replay: bool = fields.boolean(
    True,
    'Whether checkpoints hold what is in replay. If they do not, a resumed run acts by '
    'its policy, without learning, until replay is filled.',
  )

  def __post_init__(self):
    fields.check(self)
    if self.checkpoint_every is not None and self.workdir is None:
      raise ValueError('checkpoint_every is set but workdir is None: nowhere to save.')


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
  ):
    """Creates the agent and restores the newest intact checkpoint of its workdir.

    SGD steps go on from its counts. Where `samples_per_step`, `batch_size` or
    `num_sgd_steps_per_step` have changed meanwhile, the steps due by then stay what
    they were, and those to come follow the new ratio.

    Args:
      builder: makes the parts. With a workdir the learner's state has to be a nest of
        arrays, and the actor has to have a `random_key`, as Acme's own do.
      networks: what the builder's learner trains.
      policy: what the builder's actor acts by.
      environment_spec: the environment's specs.
      settings: sizes, ratio and checkpoints.
      seed: what parameters and actions are drawn from.
      counter: counts `learner_steps` and `learner_walltime`. Where it is None the
        agent counts `actor_steps` too; where it is given whoever runs the environment
        does, as Acme's `EnvironmentLoop` with `counting.Counter(counter, 'actor')`.

    Raises:
      WorkdirInUseError: where another agent has the workdir.
      DamagedCheckpointsError: where it has checkpoints, and none is intact.
      ValueError: where the checkpoint belongs to another configuration, or the actor
        has no key that a checkpoint could hold.
    """
    self._settings = settings
    self._counts_steps = counter is None
    self.counter = counter or counting.Counter()
    self._actor_steps = 0
    self._sgd_steps = 0
    self._saved_at = 0
    self._schedule = UpdateSchedule(
      samples_per_step=settings.samples_per_step,
      batch_size=settings.batch_size,
      start_actor_steps=settings.min_replay_size,
    )
    self.restored_from: str | None = None
    # What `close` has to end, in reverse order; also where making the rest fails.
    self._stack = contextlib.ExitStack()
    try:
      self._make_parts(builder, networks, policy, environment_spec, seed)
      self._restore()
    except BaseException:
      self.close()
      raise

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
    """Takes the SGD steps that are due, and a checkpoint where one is."""
    due = self._schedule.sgd_steps_due(self._actor_steps) - self._sgd_steps
    per_call = self._settings.num_sgd_steps_per_step
    for _ in range(due // per_call):
      self.learner.step()
      self._sgd_steps += per_call
    self._maybe_end_exploration()
    self.actor.update()
    every = self._settings.checkpoint_every
    if every is not None and self._actor_steps - self._saved_at >= every:
      self.save()

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

  def replay_size(self) -> int:
    """Transitions in replay, over all its tables."""
    return self._replay.size

  def save(self) -> CheckpointInfo:
    """Makes a checkpoint of everything a resumed run needs, whole or not at all.

    Transitions on their way to replay arrive first, where later batches may find them
    earlier than without the call: the steps at which an agent is saved belong, beside
    its seed, to what determines it.

    Raises:
      RuntimeError: where the agent has no workdir, or is closed.
      NonFiniteLossError: where learning has gone wrong since the last checkpoint.
    """
    if self._checkpoints is None:
      raise RuntimeError('This agent was made without a workdir: nowhere to save.')
    if self._adder is None:
      raise RuntimeError("This agent is closed; its workdir may be another one's now.")
    _flush(self._adder)
    info = self._checkpoints.save(
      Progress(
        self._actor_steps, self._sgd_steps, self._schedule, self.counter.get_counts()
      ),
      learner_state=self.learner.save(),
      actor_key=getattr(self.actor, _key_name(self.actor)),
      replay=self._replay,
    )
    self._saved_at = self._actor_steps
    return info

  def close(self) -> None:
    """Ends the replay server and all else that the agent has started; idempotent.

    The agent cannot act or learn afterwards. Another one may use its workdir.
    """
    self._stack.close()

  def _make_parts(
    self,
    builder: builders.ActorLearnerBuilder,
    networks: Any,
    policy: Any,
    environment_spec: acme.specs.EnvironmentSpec,
    seed: int,
  ) -> None:
    settings = self._settings
    learner_key, actor_key = jax.random.split(jax.random.PRNGKey(seed))
    self._checkpoints = None
    if settings.workdir is not None:
      self._checkpoints = AgentCheckpoints(
        settings.workdir, settings.keep_checkpoints, settings.checkpoint_replay
      )
      self._stack.callback(self._checkpoints.close)
    resident = resident_replay(builder)
    if resident:
      self._stack.callback(resident.close)
    tables = builder.make_replay_tables(environment_spec)
    table_infos = [table.info for table in tables]
    server = reverb.Server(
      tables,
      checkpointer=self._checkpoints.reverb_checkpointer()
      if self._checkpoints and not resident
      else None,
    )
    loopback.confine(server.port)
    # It waits seconds for a writer that is still connected, and frees whoever samples.
    self._stack.callback(server.stop)
    if resident:
      self._stack.callback(resident.close_writer)
    client = reverb.Client(f'localhost:{server.port}')
    self._replay: ReplayContents = resident or ServerContents(client, table_infos)
    iterator = builder.make_dataset_iterator(client)
    if hasattr(iterator, 'close'):
      self._stack.callback(iterator.close)
    learner_counter = counting.Counter(self.counter, 'learner', time_delta=0.0)
    self.learner = builder.make_learner(
      learner_key, networks, iterator, client, learner_counter
    )
    self._stack.callback(self._drop_adder)
    self._adder = builder.make_adder(client)
    self.actor = builder.make_actor(
      actor_key, policy, self._adder, variable_source=self.learner
    )
    if self._checkpoints and _key_name(self.actor) is None:
      raise ValueError(
        f'{type(self.actor).__name__} has no random_key, and a checkpoint needs the key '
        'that its next action is sampled from: give it that property, or the agent no '
        'workdir.'
      )

  def _drop_adder(self) -> None:
    self.actor = self._adder = None

  def _restore(self) -> None:
    restored = self._checkpoints and self._checkpoints.restore(
      self.learner.save(), self._replay
    )
    if not restored:
      return
    setattr(self.actor, _key_name(self.actor), restored.actor_key)
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
    # Acme's loop counts whole episodes: the one that the checkpoint fell into is missing.
    self.counter.restore({'counts': dict(progress.counts), 'cache': {}})
    self.restored_from = restored.path
    self._maybe_end_exploration()

  def _maybe_end_exploration(self) -> None:
    if self._actor_steps >= self._settings.min_replay_size and hasattr(
      self.learner, 'end_exploration'
    ):
      self.learner.end_exploration()


def _key_name(actor: Any) -> str | None:
  """What an actor calls the key of its next action; None where it has none."""
  # Acme's `GenericActor`, which all of its own builders make, has no public name for it.
  names = (name for name in ('random_key', '_random_key') if hasattr(actor, name))
  return next(names, None)


def _flush(adder: Any) -> None:
  """Waits until all that was added is in replay; the last few items travel behind."""
  # Acme's adders have no public way; adders of other builders may have a `flush`.
  flush = getattr(adder, 'flush', None)
  if flush is None and hasattr(adder, '_writer'):
    flush = adder._writer.flush
  if flush is not None:
    flush()
