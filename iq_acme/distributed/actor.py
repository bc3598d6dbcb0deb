"""An actor of a program: takes the steps it is granted, and delivers what it sees."""

import contextlib
import time
from typing import TYPE_CHECKING, Any

import jax

from iq_acme import acting, seeding
from iq_acme.distributed.settings import ProgramParts, ProgramSettings
from iq_acme.environments.watch import EnvironmentWatch, repeating
from iq_acme.episodes import EnvironmentStepper

if TYPE_CHECKING:
  import reverb

# Steps claimed at a time: how coarse the counts are, and what a kill loses of them.
STEPS_PER_CLAIM = 10
_POLL_SECONDS = 0.05


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
    self._name = f'actor/{rank}'
    self._parts = parts
    self._settings = settings
    self._replay = replay
    self._counter = counter
    self._learner = learner
    self._coordinator = coordinator
    self._num_steps = 0

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
    watch = EnvironmentWatch()
    make_environment = watch.factory(self._parts.environment_factory)
    with (
      repeating(
        lambda: self._counter.report(self._name, *watch.waits_for()),
        settings.report_seconds,
      ),
      contextlib.closing(make_environment(seeds[self._rank])) as environment,
    ):
      stepper = EnvironmentStepper(environment)
      done = 0
      while done := self._claim(done):
        for _ in range(done):
          self._step(actor, stepper)
    adder.flush()
    self._counter.retire(self._name)

  def _wait_for_start(self) -> int:
    while (start := self._counter.start_steps()) is None:
      time.sleep(_POLL_SECONDS)
    return start

  def _claim(self, done: int) -> int:
    """Reports steps taken; returns how many to take next, 0 at the end."""
    while (
      steps := self._counter.claim_steps(self._name, done, STEPS_PER_CLAIM)
    ) is None:
      done = 0
      time.sleep(_POLL_SECONDS)
    return steps

  def _step(self, actor: Any, stepper: EnvironmentStepper) -> None:
    """Takes one step, and reports the episode that it ends."""
    if self._num_steps % self._settings.variable_update_period == 0:
      actor.update(wait=self._num_steps == 0)
    episode = stepper.step(actor)
    self._num_steps += 1
    if episode is not None:
      # Without waiting for the answer.
      self._coordinator.futures.record_episode(
        {
          'actor': self._rank,
          'episode_return': episode.episode_return,
          'episode_length': episode.length,
          **episode.metrics,
        }
      )
