"""An actor of a program: takes the steps it is granted, and delivers what it sees."""

import contextlib
import time
from typing import TYPE_CHECKING, Any

import dm_env
import jax

from iq_acme import acting, evaluation, seeding
from iq_acme.distributed.settings import ProgramParts, ProgramSettings

if TYPE_CHECKING:
  import reverb

# Steps claimed at a time: how coarse the counts are, and what a kill loses of them.
STEPS_PER_CLAIM = 10


class ActorWorker:
  """Steps its own environment by the learner's newest policy."""

  def __init__(
    self,
    rank: int,
    parts: ProgramParts,
    settings: ProgramSettings,
    replay: 'reverb.Client',
    counter: Any,
    learner: Any,
    coordinator: Any,
  ):
    """Creates the actor; nothing is asked of other nodes yet.

    Args:
      rank: which one it is, from 0.
      parts: what to make it from.
      settings: of the program.
      replay: a client of the replay server.
      counter: a client of the `StepCounter`.
      learner: a client of the learner.
      coordinator: a client of the coordinator, which logs episodes.
    """
    self._rank = rank
    self._parts = parts
    self._settings = settings
    self._replay = replay
    self._counter = counter
    self._learner = learner
    self._coordinator = coordinator
    self._timestep: dm_env.TimeStep | None = None
    self._num_steps = 0
    self._episode_return, self._episode_length = 0.0, 0

  def run(self) -> None:
    """Acts until no further step is granted."""
    start = self._wait_for_start()
    settings = self._settings
    seeds = seeding.derive_seeds(settings.seed, 'training', start, settings.num_actors)
    # Its own stream of actions, and another one after each resume.
    key = jax.random.PRNGKey(settings.seed)
    for number in (1 + self._rank, start):
      key = jax.random.fold_in(key, number)
    builder = self._parts.make_builder()
    adder = builder.make_adder(self._replay)
    actor = builder.make_actor(
      key,
      acting.make_behavior_policy(self._parts.make_networks()),
      adder,
      variable_source=self._learner,
    )
    environment = self._parts.environment_factory(seeds[self._rank])
    with contextlib.closing(environment):
      done = 0
      while done := self._counter.claim_steps(done, STEPS_PER_CLAIM):
        for _ in range(done):
          self._step(actor, environment)
    adder.flush()
    self._counter.retire(self._rank)

  def _wait_for_start(self) -> int:
    while (start := self._counter.start_steps()) is None:
      time.sleep(0.05)
    return start

  def _step(self, actor: Any, environment: dm_env.Environment) -> None:
    """Takes one step; begins an episode where the last one has ended."""
    if self._timestep is None or self._timestep.last():
      self._timestep = environment.reset()
      self._episode_return, self._episode_length = 0.0, 0
      actor.observe_first(self._timestep)
    if self._num_steps % self._settings.variable_update_period == 0:
      actor.update(wait=self._num_steps == 0)
    action = actor.select_action(self._timestep.observation)
    self._timestep = environment.step(action)
    actor.observe(action, self._timestep)
    self._num_steps += 1
    self._episode_return += float(self._timestep.reward)
    self._episode_length += 1
    if self._timestep.last():
      # Without waiting for the answer.
      self._coordinator.futures.record_episode(
        {
          'actor': self._rank,
          'episode_return': self._episode_return,
          'episode_length': self._episode_length,
          **evaluation.episode_metrics(environment),
        }
      )
