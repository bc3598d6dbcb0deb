"""Assembles the Launchpad program."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import acme
import dm_env
import launchpad as lp
from acme.utils import loggers

from iq_acme.config import IQConfig
from iq_acme.distributed.actor import ActorWorker
from iq_acme.distributed.coordinator import CoordinatorWorker
from iq_acme.distributed.counter import StepCounter
from iq_acme.distributed.evaluator import EvaluatorWorker
from iq_acme.distributed.learner import LearnerWorker
from iq_acme.distributed.nodes import WorkerNode
from iq_acme.distributed.replay_node import ReplayNode, make_checkpointer
from iq_acme.distributed.settings import (
  EvaluationHook,
  LoggerFactory,
  ProgramParts,
  ProgramSettings,
)
from iq_acme.networks import IQNetworks, make_networks


def _terminal_logger(label: str) -> loggers.Logger:
  return loggers.make_default_logger(label, save_data=False)


def make_distributed_iq(
  environment_factory: Callable[[int], dm_env.Environment],
  *,
  config: IQConfig | None = None,
  num_actors: int,
  seed: int = 0,
  max_number_of_steps: int,
  workdir: str,
  evaluation_period: int = 10_000,
  evaluation_episodes: int = 5,
  last_evaluation: int | None = None,
  checkpoint_period: int = 50_000,
  keep_checkpoints: int = 2,
  checkpoint_replay: bool = True,
  variable_update_period: int = 10,
  environment_patience: int = 60,
  network_factory: Callable[
    [acme.specs.EnvironmentSpec, IQConfig], IQNetworks
  ] = make_networks,
  logger_factory: LoggerFactory = _terminal_logger,
  policy_metadata: Mapping[str, Any] | None = None,
  evaluation_hook: EvaluationHook | None = None,
  program: lp.Program | None = None,
) -> lp.Program:
  """Returns the agent as a Launchpad program, to be run by `iq_acme.launch`.

  Its nodes are labelled 'replay', 'counter', 'learner', 'evaluator', 'coordinator' and
  'actor' (one node an actor). Everything given here travels to them by cloudpickle.

  Args:
    environment_factory: makes an environment from a seed; it is called here once, for
      the specs, and then in each actor and before each evaluation.
    config: the hyperparameters; M-IQ on Gym (Section 6) if None.
    num_actors: actors, each with an environment of its own.
    seed: what parameters, actions, batches and the environments' seeds are drawn from.
      Actors differ by their rank. A seed does not determine a run of many processes.
    max_number_of_steps: environment steps, over all actors and resumes, at which the
      run ends; they are never overshot.
    workdir: where `checkpoints/` and `policy.npz` are written. The newest whole
      checkpoint there is resumed. On several machines, a folder that learner and replay
      share.
    evaluation_period: actor steps between evaluations.
    evaluation_episodes: episodes of an evaluation, for either policy.
    last_evaluation: the actor steps of the last evaluation before a resume, which is
      not made again; None evaluates at once.
    checkpoint_period: actor steps between checkpoints.
    keep_checkpoints: how many of the newest are kept.
    checkpoint_replay: whether checkpoints hold what is in replay.
    variable_update_period: steps of an actor between requests for newer parameters.
    environment_patience: seconds in one call of an environment after which its node is
      named; the steps that it has claimed go to the other actors then.
    network_factory: makes the networks from spec and configuration.
    logger_factory: makes the loggers of 'learner', 'actor' (a row an episode, over all
      actors) and 'evaluator'; Acme's lines on the terminal by default.
    policy_metadata: anything JSON can hold, saved beside each policy.
    evaluation_hook: called after each evaluation, in the evaluator, with its row and a
      function that writes the evaluated policy to a file: `save(path, **metadata)`,
      the metadata anything JSON can hold, kept beside the usual.
    program: a program to add the nodes to; a new one if None.

  Returns:
    The program.

  Raises:
    ValueError: if an argument or the environment does not fit.
  """
  config = config or IQConfig()
  settings = ProgramSettings(
    num_actors=num_actors,
    seed=seed,
    max_number_of_steps=max_number_of_steps,
    workdir=os.path.abspath(os.path.expanduser(workdir)) if workdir else workdir,
    evaluation_period=evaluation_period,
    evaluation_episodes=evaluation_episodes,
    last_evaluation=last_evaluation,
    checkpoint_period=checkpoint_period,
    keep_checkpoints=keep_checkpoints,
    checkpoint_replay=checkpoint_replay,
    variable_update_period=variable_update_period,
    environment_patience=environment_patience,
  )
  environment = environment_factory(seed)
  spec = acme.make_environment_spec(environment)
  environment.close()
  parts = ProgramParts(
    config=config,
    environment_spec=spec,
    environment_factory=environment_factory,
    network_factory=network_factory,
    logger_factory=logger_factory,
    policy_metadata=dict(policy_metadata or {}),
    evaluation_hook=evaluation_hook,
  )
  parts.make_builder()  # Refuses what it cannot be built for, here and not in a child.
  return _add_nodes(program or lp.Program('iq'), parts, settings)


def _add_nodes(
  program: lp.Program, parts: ProgramParts, settings: ProgramSettings
) -> lp.Program:
  """Adds all nodes; each gets clients of those that it asks something of."""

  def add(label: str, *arguments: Any, index: int = 0) -> Any:
    return program.add_node(WorkerNode(f'{label}/{index}', *arguments), label)

  replay = program.add_node(
    ReplayNode('replay/0', parts.make_tables, _checkpointer_factory(parts, settings)),
    'replay',
  )
  counter = add('counter', StepCounter, settings.max_number_of_steps)
  learner = add('learner', LearnerWorker, 'learner/0', parts, settings, replay, counter)
  evaluator = add('evaluator', EvaluatorWorker, parts, settings, counter, learner)
  coordinator = add(
    'coordinator',
    CoordinatorWorker,
    settings,
    parts.logger_factory,
    counter,
    learner,
    evaluator,
  )
  for rank in range(settings.num_actors):
    add(
      'actor',
      ActorWorker,
      rank,
      parts,
      settings,
      replay,
      counter,
      learner,
      coordinator,
      index=rank,
    )
  return program


def _checkpointer_factory(
  parts: ProgramParts, settings: ProgramSettings
) -> Callable[[int], Any] | None:
  """Returns what makes what the server saves and loads by; a resident ring is the learner's."""
  if parts.config.replay == 'resident':
    return None
  return functools.partial(make_checkpointer, settings.workdir)
