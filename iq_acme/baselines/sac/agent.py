"""Acme's SAC as an agent of the runner: its networks and learner, our replay and actor.

What Acme's parts lack for that is added here: uniform actions before learning starts,
rows of metrics once a period instead of at every step, a check that losses are finite,
evaluation of the mode, and a policy in one file.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import acme
import dm_env
import jax
import jax.numpy as jnp
import numpy as np
from acme import adders, wrappers
from acme.agents.jax import sac
from acme.utils import counting, loggers

from iq_acme import acting, critics
from iq_acme.agent.actor import FixedVariables, IQActor
from iq_acme.agent.local import LocalAgent, LocalSettings
from iq_acme.baselines.sac.builder import ResidentSACBuilder
from iq_acme.baselines.sac.config import POLICY_FORMAT, SACHyperparameters
from iq_acme.baselines.sac.learner import MetricsWindow, SavableSACLearner
from iq_acme.storage import serialization


def canonical(environment: dm_env.Environment) -> dm_env.Environment:
  """Returns the same environment with actions in [-1, 1], where SAC acts."""
  return wrappers.CanonicalSpecWrapper(environment, clip=True)


class SACAgent(LocalAgent):
  """Acme's SAC in one process, with what `iq_acme.training.protocols.Agent` asks for."""

  def __init__(
    self,
    environment_spec: acme.specs.EnvironmentSpec,
    hyperparameters: SACHyperparameters,
    *,
    seed: int = 0,
    logger: loggers.Logger | None = None,
    **local_settings: Any,
  ):
    """Creates the agent and restores the newest checkpoint of its workdir.

    Args:
      environment_spec: of an environment with actions in [-1, 1], see `canonical`.
      hyperparameters: of SAC.
      seed: what parameters, actions and batches are drawn from.
      logger: gets a row of the learner's metrics every `log_period` SGD steps.
      **local_settings: workdir and checkpoint settings of `LocalSettings`.

    Raises:
      ValueError: if actions have other bounds.
    """
    actions = environment_spec.actions
    if np.any(actions.minimum != -1) or np.any(actions.maximum != 1):
      raise ValueError(
        f'Actions are bounded by {actions.minimum} and {actions.maximum}; SAC acts in '
        '[-1, 1]: wrap the environment with `baselines.sac.agent.canonical`.'
      )
    self._spec = environment_spec
    self._hyperparameters = hyperparameters
    networks = sac.make_networks(
      environment_spec, tuple(hyperparameters.hidden_layer_sizes)
    )
    self._assess = _make_assess(networks)
    super().__init__(
      _Builder(hyperparameters, environment_spec, logger, seed),
      networks,
      _acting_policy(
        sac.apply_policy_and_sample(networks), explores=environment_spec.actions.shape
      ),
      environment_spec,
      LocalSettings(
        batch_size=hyperparameters.batch_size,
        min_replay_size=hyperparameters.min_replay_size,
        samples_per_step=hyperparameters.batch_size,
        **local_settings,
      ),
      seed=seed,
      # Made once: a new one would be compiled anew at every evaluation.
      evaluation_policies={
        deterministic: _evaluation_policy(networks, deterministic)
        for deterministic in (True, False)
      },
    )

  def make_critic(self) -> critics.Critic:
    """Returns what the critics expect of the mode's actions at this moment."""
    state = self.learner.state
    variables = (state.policy_params, state.q_params)
    return critics.Critic(self._hyperparameters.discount, variables, self._assess)

  def save_policy(self, path: str, metadata: Mapping[str, Any] | None = None) -> None:
    """Writes the policy's parameters to one npz file, for `load_policy_actor`."""
    actions, observations = self._spec.actions, self._spec.observations
    header = {
      'format': POLICY_FORMAT,
      'hidden_layer_sizes': list(self._hyperparameters.hidden_layer_sizes),
      'observation_shape': list(observations.shape),
      'action_shape': list(actions.shape),
      'metadata': dict(metadata or {}),
    }
    params = self.learner.get_variables(['policy'])[0].params
    serialization.save_tree(path, params, header)


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


def load_policy_actor(
  path: str,
  environment_spec: acme.specs.EnvironmentSpec,
  deterministic: bool,
  seed: int = 0,
) -> IQActor:
  """Makes an actor with the policy of a file that `SACAgent.save_policy` wrote.

  Args:
    path: the file.
    environment_spec: of the environment that it is to act in, see `canonical`.
    deterministic: whether to take the squashed mean, or to sample.
    seed: what actions are sampled from.

  Raises:
    FileNotFoundError: if there is no such file.
    CorruptFileError: if it is damaged or something else.
    ValueError: if it belongs to another environment.
  """
  header = serialization.load_header(path)
  if header.get('format') != POLICY_FORMAT:
    raise serialization.CorruptFileError(f"{path} is no policy of this project's SAC.")
  with serialization.refusing_foreign(path):
    sizes = tuple(header['hidden_layer_sizes'])
    networks = sac.make_networks(environment_spec, sizes)
    like = jax.eval_shape(networks.policy_network.init, jax.random.PRNGKey(0))
  params = jax.device_put(serialization.load_tree(path, like))
  return IQActor(
    _evaluation_policy(networks, deterministic),
    environment_spec,
    jax.random.PRNGKey(seed),
    FixedVariables(acting.ActingVariables(params, None, exploring=False)),
  )


def _make_assess(networks: sac.SACNetworks) -> critics.Assess:
  """Returns the smaller of both critics' Q(s, mode); SAC has no V of its own."""

  @jax.jit
  def assess(variables: tuple[Any, Any], observations: Any) -> dict[str, jax.Array]:
    policy_params, q_params = variables
    distribution = networks.policy_network.apply(policy_params, observations)
    action = networks.sample_eval(distribution, None)
    q_values = networks.q_network.apply(q_params, observations, action)  # [B, 2]
    return {'value': jnp.min(q_values, axis=-1)}

  return assess


def _evaluation_policy(
  networks: sac.SACNetworks, deterministic: bool
) -> acting.ActingPolicy:
  policy = sac.apply_policy_and_sample(networks, eval_mode=deterministic)
  return _acting_policy(policy, explores=None)


def _acting_policy(
  policy: Callable[[Any, jax.Array, Any], jax.Array],
  explores: tuple[int, ...] | None,
) -> acting.ActingPolicy:
  """Makes Acme's policy one of `acting`.

  Args:
    policy: (params, key, observations [1, ...]) -> actions [1, D].
    explores: the shape [D] of uniform actions while exploration goes on; None for a
      policy that never explores.
  """

  def act(
    variables: acting.ActingVariables, key: jax.Array, observation: Any
  ) -> tuple[jax.Array, jax.Array]:
    key, action_key = jax.random.split(key)
    batch = jax.tree.map(lambda x: jnp.asarray(x)[None], observation)
    action = policy(variables.params, action_key, batch)[0]
    if explores is not None:
      uniform = jax.random.uniform(action_key, explores, minval=-1.0, maxval=1.0)
      action = jnp.where(variables.exploring, uniform, action)
    return action, key

  return act
