"""SAC as an algorithm of a population."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from iq_acme.baselines.sac import policy_file, update
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.baselines.sac.networks import make_assess, make_networks
from iq_acme.population.algorithm import Algorithm, Family, make_algorithm


class SACNumbers(NamedTuple):
  """The fields of `SACHyperparameters` that change numbers alone, not the program."""

  discount: Any
  learning_rate: Any
  target_update_rate: Any


def numbers_of(config: SACHyperparameters) -> SACNumbers:
  """Returns a member's numbers."""
  return SACNumbers(*(getattr(config, name) for name in SACNumbers._fields))


def program_of(config: SACHyperparameters) -> dict[str, Any]:
  """Returns what makes the program: all but the numbers."""
  program = dataclasses.asdict(config)
  return {k: value for k, value in program.items() if k not in SACNumbers._fields}


def make(configs: Sequence[SACHyperparameters], environment_spec: Any) -> Algorithm:
  """Makes the one algorithm of configurations that share a program.

  Args:
    configs: of all members.
    environment_spec: the environment's specs.
  """
  config = configs[0]
  networks = make_networks(environment_spec, config)
  return make_algorithm(
    networks,
    config,
    init_state=update.init_state,
    sgd_step=update.sgd_step,
    policy_params=lambda state: state.policy_params,
    critic_params=lambda state: state.q_params,
    assess=make_assess(networks),
    save_policy=lambda path, variables, config, metadata: policy_file.save_policy(
      path, variables, environment_spec, config, metadata
    ),
  )


FAMILY = Family(numbers_of, program_of, make)
