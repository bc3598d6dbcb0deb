"""IQ, M-IQ, (Trust-)PCL and their Gaussian ablations as algorithms of a population."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from iq_acme import critics, policy_io, update
from iq_acme.config import Hyperparameters, IQConfig
from iq_acme.networks import make_networks
from iq_acme.population.algorithm import Algorithm, Family, make_algorithm


def numbers_of(config: IQConfig) -> Hyperparameters:
  """Returns a member's numbers."""
  return Hyperparameters(*(getattr(config, name) for name in Hyperparameters._fields))


def program_of(config: IQConfig) -> dict[str, Any]:
  """Returns what makes the program: all but the numbers, and which of them there are."""
  program = dataclasses.asdict(config)
  for name, value in numbers_of(config)._asdict().items():
    program[name] = value is not None
  if config.scale_logits_by_temperature:  # The policy's networks close over it.
    program['temperature'] = config.temperature
  return program


def make(configs: Sequence[IQConfig], environment_spec: Any) -> Algorithm:
  """Makes the one algorithm of configurations that share a program.

  Args:
    configs: of all members.
    environment_spec: the environment's specs.
  """
  config = max(configs, key=lambda config: config.munchausen_coefficient)
  networks = make_networks(environment_spec, config)
  return make_algorithm(
    networks,
    config,
    init_state=update.init_state,
    sgd_step=update.sgd_step,
    policy_params=lambda state: state.params.policy,
    critic_params=lambda state: state.params.value,
    assess=critics.make_assess(networks),
    save_policy=lambda path, variables, config, metadata: policy_io.save_policy(
      path, variables, environment_spec, config, metadata
    ),
    # If it is 0 for all, the update leaves the Munchausen term out.
    fixed=() if config.munchausen_coefficient > 0 else ('munchausen_coefficient',),
    minimum_metrics=update.MINIMUM_METRICS,
  )


FAMILY = Family(numbers_of, program_of, make)
