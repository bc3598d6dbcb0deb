"""IQ in one process, and in one call."""

from typing import Any

import acme
from acme.utils import counting, loggers

from iq_acme import acting, critics, policy_io
from iq_acme.agent.builder import IQBuilder
from iq_acme.agent.local import LocalAgent
from iq_acme.agent.local_settings import LocalSettings
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks, make_networks
from iq_acme.transitions import Transition


class IQ(LocalAgent):
  """IQ, M-IQ, (Trust-)PCL or their Gaussian ablations, in one process."""

  def __init__(
    self,
    environment_spec: acme.specs.EnvironmentSpec,
    config: IQConfig,
    networks: IQNetworks,
    *,
    seed: int = 0,
    counter: counting.Counter | None = None,
    logger: loggers.Logger | None = None,
    demonstrations: Transition | None = None,
    **local_settings: Any,
  ):
    """Creates the agent; see `make_iq_agent`.

    Args:
      environment_spec: the environment's specs.
      config: the hyperparameters.
      networks: the networks to train.
      seed: what parameters and actions are drawn from.
      counter: see `LocalAgent`.
      logger: gets the learner's metrics.
      demonstrations: see `LocalAgent`.
      **local_settings: workdir and checkpoint settings of `LocalSettings`.
    """
    self._config = config
    self._spec = environment_spec
    self._networks = networks
    self._assess = critics.make_assess(networks)
    super().__init__(
      IQBuilder(
        config,
        environment_spec,
        lambda: logger,
        single_threaded=True,
        seed=seed,
      ),
      networks,
      acting.make_behavior_policy(networks),
      environment_spec,
      LocalSettings(
        batch_size=config.batch_size,
        min_replay_size=config.min_replay_size,
        samples_per_step=config.sampled_per_step,
        num_sgd_steps_per_step=config.num_sgd_steps_per_step,
        **local_settings,
      ),
      seed=seed,
      counter=counter,
      demonstrations=demonstrations,
      # Made once: a new one would be compiled anew at every evaluation.
      evaluation_policies=acting.make_evaluation_policies(networks),
    )

  def policy_variables(self) -> acting.ActingVariables:
    """Returns the policy as it is now: parameters and normaliser."""
    return self.learner.get_variables(['policy'])[0]

  def make_critic(self) -> critics.Critic:
    """Returns what the agent expects of states at this moment: V, and its policy's entropy."""
    variables = tuple(self.learner.get_variables(['policy', 'value']))
    return critics.Critic(self._config.discount, variables, self._assess)

  def save_policy(self, path: str, metadata: dict[str, Any] | None = None) -> None:
    """Writes the current policy to one file, for `iq_acme.load_policy`.

    Args:
      path: the file to write or replace.
      metadata: anything JSON can hold, such as the environment's name.
    """
    policy_io.save_policy(
      path,
      self.policy_variables(),
      self._spec,
      self._config,
      metadata,
      self._networks,
    )


def make_iq_agent(
  env_spec: acme.specs.EnvironmentSpec,
  *,
  config: IQConfig | None = None,
  networks: IQNetworks | None = None,
  seed: int = 0,
  workdir: str | None = None,
  counter: counting.Counter | None = None,
  logger: loggers.Logger | None = None,
  demonstrations: Transition | None = None,
  checkpoint_every: int | None = None,
  keep_checkpoints: int = 2,
  checkpoint_replay: bool = True,
) -> IQ:
  """Returns an agent for Acme's `EnvironmentLoop`, or for a loop of your own.

  Args:
    env_spec: the environment's specs, from `acme.make_environment_spec`.
    config: the hyperparameters; M-IQ on Gym (Section 6) if None.
    networks: the networks; `make_networks(env_spec, config)` if None.
    seed: what parameters, actions and batches are drawn from. With the resident replay
      a seed and the steps at which it is saved determine the agent; Reverb's own sampler
      takes none, so with the table two agents of one seed start alike and then drift
      apart.
    workdir: where checkpoints go; its newest whole one is restored.
    counter: counts `learner_steps` and `learner_walltime`. Where it is given, give
      the `EnvironmentLoop` `counting.Counter(counter, prefix='actor')`, so that it
      counts `actor_steps`; if it is None the agent counts them itself.
    logger: gets a row of metrics every `config.log_period` SGD steps.
    demonstrations: transitions that replay begins with; see `LocalAgent`.
    checkpoint_every: environment steps between checkpoints; if None, they are made
      by calls of `save` alone.
    keep_checkpoints: how many of the newest are kept.
    checkpoint_replay: whether checkpoints hold what is in replay.

  Returns:
    The agent.

  Raises:
    ValueError: if an argument, the environment or a checkpoint does not fit.
  """
  config = config or IQConfig()
  return IQ(
    env_spec,
    config,
    networks or make_networks(env_spec, config),
    seed=seed,
    counter=counter,
    logger=logger,
    demonstrations=demonstrations,
    workdir=workdir,
    checkpoint_every=checkpoint_every,
    keep_checkpoints=keep_checkpoints,
    checkpoint_replay=checkpoint_replay,
  )
