"""Acme's SAC as an agent of the runner: its learner, our replay and actor.

What Acme's parts lack for that is added here: uniform actions before learning starts,
rows of metrics once a period instead of at every step, a check that losses are finite,
evaluation of the mode, and a policy in one file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import acme
import dm_env
import jax
import numpy as np
from acme import adders, specs, wrappers
from acme.agents.jax import sac
from acme.utils import counting, loggers

from iq_acme import acting, critics
from iq_acme.agent.actor import IQActor
from iq_acme.agent.local import LocalAgent
from iq_acme.agent.local_settings import LocalSettings
from iq_acme.baselines.sac import policy_file
from iq_acme.baselines.sac.builder import ResidentSACBuilder
from iq_acme.baselines.sac.config import SACHyperparameters
from iq_acme.baselines.sac.learner import MetricsWindow, SavableSACLearner
from iq_acme.baselines.sac.networks import make_assess, make_networks
from iq_acme.spec_checks import check_continuous
from iq_acme.transitions import Transition


def canonical(environment: dm_env.Environment) -> dm_env.Environment:
  """Returns the same environment with actions in [-1, 1], where SAC acts.

  Raises:
    ValueError: if its actions are integers.
  """
  check_continuous(environment.action_spec(), 'SAC')
  return wrappers.CanonicalSpecWrapper(environment, clip=True)


def canonical_actions(actions: np.ndarray, spec: specs.BoundedArray) -> np.ndarray:
  """Returns actions of an environment's own units, [N, D], in those of `canonical`.

  Args:
    actions: within the spec's bounds.
    spec: of the environment's own actions.
  """
  minimum, maximum = spec.minimum, spec.maximum
  scaled = 2 * (actions - minimum) / (maximum - minimum) - 1
  return np.clip(scaled, -1, 1).astype(spec.dtype)


class SACAgent(LocalAgent):
  """Acme's SAC in one process, with what `iq_acme.training.protocols.Agent` asks for."""

  def __init__(
    self,
    environment_spec: acme.specs.EnvironmentSpec,
    hyperparameters: SACHyperparameters,
    *,
    seed: int = 0,
    logger: loggers.Logger | None = None,
    demonstrations: Transition | None = None,
    **local_settings: Any,
  ):
    """Creates the agent and restores the newest checkpoint of its workdir.

    Args:
      environment_spec: of an environment with actions in [-1, 1], see `canonical`.
      hyperparameters: of SAC.
      seed: what parameters, actions and batches are drawn from.
      logger: gets a row of the learner's metrics every `log_period` SGD steps.
      demonstrations: see `LocalAgent`; their actions are in [-1, 1].
      **local_settings: workdir and checkpoint settings of `LocalSettings`.

    Raises:
      ValueError: if actions have other bounds, or observations are to be normalised.
    """
    if hyperparameters.normalize_observations:
      raise ValueError(
        "SACHyperparameters.normalize_observations is True; this agent, Acme's own, "
        'takes False alone: only a population normalises observations for SAC.'
      )
    actions = environment_spec.actions
    if np.any(actions.minimum != -1) or np.any(actions.maximum != 1):
      raise ValueError(
        f'Actions are bounded by {actions.minimum} and {actions.maximum}; SAC acts in '
        '[-1, 1]: wrap the environment with `baselines.sac.agent.canonical`.'
      )
    self._spec = environment_spec
    self._hyperparameters = hyperparameters
    networks = make_networks(environment_spec, hyperparameters)
    self._assess = make_assess(networks)
    super().__init__(
      _Builder(hyperparameters, environment_spec, logger, seed),
      sac.make_networks(environment_spec, tuple(hyperparameters.hidden_layer_sizes)),
      acting.make_behavior_policy(networks),
      environment_spec,
      LocalSettings(
        batch_size=hyperparameters.batch_size,
        min_replay_size=hyperparameters.min_replay_size,
        samples_per_step=hyperparameters.batch_size,
        **local_settings,
      ),
      seed=seed,
      demonstrations=demonstrations,
      # Made once: a new one would be compiled anew at every evaluation.
      evaluation_policies=acting.make_evaluation_policies(networks),
    )

  def make_critic(self) -> critics.Critic:
    """Returns what the critics expect of the mode's actions at this moment."""
    variables = (self._acting_variables(), self.learner.state.q_params)
    return critics.Critic(self._hyperparameters.discount, variables, self._assess)

  def save_policy(self, path: str, metadata: Mapping[str, Any] | None = None) -> None:
    """Writes the policy to one npz file, for `policy_file.load_policy`."""
    policy_file.save_policy(
      path, self._acting_variables(), self._spec, self._hyperparameters, metadata
    )

  def _acting_variables(self) -> acting.ActingVariables:
    return self.learner.get_variables(['policy'])[0]


class _Builder(ResidentSACBuilder):
  """Acme's builder with a learner that the local agent can save, and our actor."""

  def __init__(
    self,
    hyperparameters: SACHyperparameters,
    environment_spec: acme.specs.EnvironmentSpec,
    logger: loggers.Logger | None,
    seed: int,
  ):
    config = sac.SACConfig(
      learning_rate=hyperparameters.learning_rate,
      discount=hyperparameters.discount,
      tau=hyperparameters.target_update_rate,
      batch_size=hyperparameters.batch_size,
      samples_per_insert=hyperparameters.batch_size,
      min_replay_size=hyperparameters.min_replay_size,
      max_replay_size=hyperparameters.max_replay_size,
      target_entropy=sac.target_entropy_from_env_spec(environment_spec),
    )
    super().__init__(config, environment_spec, seed)
    self._spec = environment_spec
    self._metrics = MetricsWindow(logger, hyperparameters.log_period)
    self._logger_fn = lambda: self._metrics

  def make_learner(
    self,
    random_key: jax.Array,
    networks: sac.SACNetworks,
    dataset: Iterator[Any],
    replay_client: Any = None,
    counter: counting.Counter | None = None,
  ) -> SavableSACLearner:
    learner = super().make_learner(
      random_key, networks, dataset, replay_client, counter
    )
    return SavableSACLearner(learner, self._metrics)

  def make_actor(
    self,
    random_key: jax.Array,
    policy_network: acting.ActingPolicy,
    adder: adders.Adder | None = None,
    variable_source: acme.core.VariableSource | None = None,
  ) -> IQActor:
    return IQActor(policy_network, self._spec, random_key, variable_source, adder)
