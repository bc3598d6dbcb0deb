"""Assembles the Launchpad program."""

import functools
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
  network_factory: Callable[
    [acme.specs.EnvironmentSpec, IQConfig], IQNetworks
  ] = make_networks,
  logger_factory: LoggerFactory = _terminal_logger,
  policy_metadata: Mapping[str, Any] | None = None,
  evaluation_hook: EvaluationHook | None = None,
  program: lp.Program | None = None,
  **settings: Any,
) -> lp.Program:
  """Returns the agent as a Launchpad program, to be run by `iq_acme.launch`.

  Its nodes are labelled 'replay', 'counter', 'learner', 'evaluator', 'coordinator' and
  'actor' (one node an actor). Everything given here travels to them by cloudpickle.

  Args:
    environment_factory: makes an environment from a seed; it is called here once, for
      the specs, and then in each actor and before each evaluation.
    config: the hyperparameters; M-IQ on Gym (Section 6) if None.
    network_factory: makes the networks from spec and configuration.
    logger_factory: makes the loggers of 'learner', 'actor' (a row an episode, over all
      actors) and 'evaluator'; Acme's lines on the terminal by default.
    policy_metadata: anything JSON can hold, saved beside each policy.
    evaluation_hook: called after each evaluation, in the evaluator, with its row and a
      function that writes the evaluated policy to a file: `save(path, **metadata)`,
      the metadata anything JSON can hold, kept beside the usual.
    program: a program to add the nodes to; a new one if None.
    **settings: sizes and periods by name, `num_actors`, `max_number_of_steps` and
      `workdir` at least; `help(iq_acme.distributed.ProgramSettings)` lists them all.

  Returns:
    The program.

  Raises:
    TypeError: if a setting is missing, or there is none of that name.
    ValueError: if an argument or the environment does not fit.
  """
  config = config or IQConfig()
  checked = ProgramSettings(**settings)
  environment = environment_factory(checked.seed)
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
  return _add_nodes(program or lp.Program('iq'), parts, checked)


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
