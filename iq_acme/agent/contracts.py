"""Declares what an agent's parts offer beyond Acme's interfaces; adapts Acme's own."""

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Protocol, runtime_checkable

import acme
import jax
import reverb
from acme.adders.reverb import base as reverb_base
from acme.agents.jax import actors, builders
from acme.utils import counting

from iq_acme.compat import loopback
from iq_acme.replay.table import ServerReplay
from iq_acme.transitions import Transition


class Replay(Protocol):
  """Keeps transitions, here or in a Reverb server.

  Attributes:
    is_in_server: whether the Reverb server keeps it, which then has to be started with
      a checkpointer.
    size: transitions that can be sampled, or are on their way.
    num_in_flight: those of them that are on their way, as far as this process knows.
  """

  is_in_server: bool
  size: int
  num_in_flight: int

  def totals(self) -> tuple[int, int]:
    """Returns how many were inserted, and sampled, in all."""

  def fill(self, transitions: Transition) -> None:
    """Puts transitions [N, ...] into replay, which is empty and not sampled yet.

    Raises:
      ValueError: if there is no room for all of them.
    """

  def stop_limiting_inserts(self) -> None:
    """Takes in what arrives, from now on, whatever the ratio, if it can."""

  def save(self, directory: str) -> None:
    """Writes everything into a folder, which is made."""

  def restore(self, directory: str) -> bool:
    """Reads it back; returns whether the folder holds anything of this kind.

    Raises:
      ValueError: if it was saved under settings that cannot be changed.
    """

  def stop(self, server: reverb.Server) -> None:
    """Stops the server, and whatever of this process is connected to it."""


@runtime_checkable
class Builder(Protocol):
  """A builder whose replay can be saved, looked at and stopped."""

  replay: Replay


@runtime_checkable
class Actor(Protocol):
  """An actor that goes on as before if its key is restored."""

  random_key: jax.Array


@runtime_checkable
class Adder(Protocol):
  """An adder that can be waited for."""

  def flush(self) -> None:
    """Waits until all that was added is in replay; the last few items travel behind."""


@runtime_checkable
class Learner(Protocol):
  """A learner whose actors explore until it says so.

  Attributes:
    state: the training state as it is, on the device: what `save` checks and copies.
  """

  state: Any

  def end_exploration(self) -> None:
    """Lets actors follow the policy from now on; the first `step` does so too."""


class AcmeParts:
  """Makes an agent's parts and its replay server by any builder of Acme's interface.

  A part that keeps its contract above is used by that. Any other is taken for Acme's own:
  tables are the replay, the actor's key and the adder's writer have private names, and the
  learner has no exploration to end.

  Attributes:
    replay: the builder's, or its tables.
    learner: the builder's.
    actor: the builder's; None once this is closed.
  """

  def __init__(
    self,
    builder: builders.ActorLearnerBuilder,
    networks: Any,
    policy: Any,
    environment_spec: acme.specs.EnvironmentSpec,
    *,
    seed: int,
    counter: counting.Counter,
    make_checkpointer: Callable[[], Any] | None,
  ):
    """Makes the parts.

    Args:
      builder: makes them.
      networks: what its learner trains.
      policy: what its actor acts by.
      environment_spec: the environment's specs.
      seed: what parameters and actions are drawn from.
      counter: the learner's.
      make_checkpointer: makes what a Reverb server saves by and loads from; None if
        nothing is saved.

    Raises:
      ValueError: if something is to be saved and the actor has no random key.
    """
    learner_key, actor_key = jax.random.split(jax.random.PRNGKey(seed))
    with contextlib.ExitStack() as stack:
      tables = builder.make_replay_tables(environment_spec)
      client = self._serve(stack, builder, tables, make_checkpointer)
      iterator = builder.make_dataset_iterator(client)
      if isinstance(iterator, Generator):
        stack.callback(iterator.close)
      self.learner = builder.make_learner(
        learner_key, networks, iterator, client, counter
      )
      self._explores = isinstance(self.learner, Learner)
      # It waits seconds for a writer that is still connected, which these hold.
      stack.callback(self._drop_writers)
      self._adder = builder.make_adder(client)
      self.actor = builder.make_actor(
        actor_key, policy, self._adder, variable_source=self.learner
      )
      if make_checkpointer and not isinstance(self.actor, (Actor, actors.GenericActor)):
        raise ValueError(
          f'{type(self.actor).__name__} has no random_key, and a checkpoint needs the '
          'key that its next action is sampled from: give it that property, or the '
          'agent no workdir.'
        )
      self._stack = stack.pop_all()

  def _serve(
    self,
    stack: contextlib.ExitStack,
    builder: builders.ActorLearnerBuilder,
    tables: list[reverb.Table],
    make_checkpointer: Callable[[], Any] | None,
  ) -> reverb.Client:
    """Starts the replay server, which the stack stops; returns a client of it."""
    has_replay = isinstance(builder, Builder)
    infos = [table.info for table in tables]  # Those of a checkpoint may be others.
    saves = make_checkpointer and (not has_replay or builder.replay.is_in_server)
    server = reverb.Server(tables, checkpointer=make_checkpointer() if saves else None)
    client = reverb.Client(f'localhost:{server.port}')
    self.replay: Replay = builder.replay if has_replay else ServerReplay(client, infos)
    stack.callback(self.replay.stop, server)
    loopback.confine(server.port)
    return client

  @property
  def random_key(self) -> jax.Array:
    """The key of the actor's next action."""
    keeps = isinstance(self.actor, Actor)
    return self.actor.random_key if keeps else self.actor._random_key

  @random_key.setter
  def random_key(self, key: jax.Array) -> None:
    if isinstance(self.actor, Actor):
      self.actor.random_key = key
    else:
      self.actor._random_key = key

  @property
  def learner_state(self) -> Any:
    """The learner's state as it is, neither copied nor checked."""
    return self.learner.state if self._explores else self.learner.save()

  def end_exploration(self) -> None:
    """Lets the actor follow the policy from now on, if it does not yet."""
    if self._explores:
      self.learner.end_exploration()

  def flush(self) -> None:
    """Waits until all that was added is in replay."""
    if isinstance(self._adder, Adder):
      self._adder.flush()
    elif isinstance(self._adder, reverb_base.ReverbAdder):
      self._adder._writer.flush()

  def close(self) -> None:
    """Ends the replay server and all else that was started; idempotent."""
    self._stack.close()

  def _drop_writers(self) -> None:
    self.actor = self._adder = None
