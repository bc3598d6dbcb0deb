"""Every hyperparameter of the agent, once, with its place in the paper."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from iq_acme import fields

VALUE_BOOTSTRAPS = ('target', 'online')
REPLAYS = ('table', 'resident')
POLICY_FAMILIES = ('multicategorical', 'autoregressive', 'gaussian')


@fields.documented
@dataclasses.dataclass(frozen=True)
class IQConfig:
  """Hyperparameters of IQ, M-IQ, PCL, Trust-PCL and their Gaussian ablations.

  The defaults are M-IQ's on the Gym suite (Section 6). The algorithms differ by
  configuration only:

  ================  ======================  ===============
  algorithm         munchausen_coefficient  value_bootstrap
  ================  ======================  ===============
  IQ                0                       target
  M-IQ              above 0 (0.9)           target
  PCL               0                       online
  Trust-PCL         above 0 (0.9)           online
  ================  ======================  ===============

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  # The loss (Eq. 1 and 2).
  temperature: float = fields.number(
    0.01,
    "The paper's tau in Eq. 1 and 2, in units of reward; above 0.",
    elsewhere='0.001 on adroit; 0.0001 for pcl and trust_pcl',
  )
  munchausen_coefficient: float = fields.number(
    0.9,
    "The paper's alpha in Eq. 2, in [0, 1].",
    least=0,
    most=1,
    elsewhere='0 for iq, pcl, iq_gaussian and iq_autoregressive',
  )
  value_bootstrap: str = fields.choice(
    'target',
    "'target' bootstraps from the target value network (IQ, Eq. 2); 'online' from "
    'the online one, with its gradient (Trust-PCL, Section 6).',
    VALUE_BOOTSTRAPS,
    elsewhere='online for pcl and trust_pcl',
  )
  munchausen_bound: float | None = fields.number(
    None,
    'Largest absolute value of the Munchausen term, in units of reward; None bounds'
    ' nothing, as Eq. 2.',
    optional=True,
  )
  advantage_bound: float | None = fields.number(
    None,
    'Largest absolute value of the implicit advantage tau log pi(a|s), in Q and in '
    'the Munchausen term, in units of reward; beyond it V alone learns from a '
    'transition. None bounds nothing, as Eq. 1.',
    optional=True,
  )
  disadvantage_bound: float | None = fields.number(
    None,
    'How far below V(s) the value of an action is learnt exactly, in units of reward; '
    'what is known to be worse, and should be worse still, has no error. None bounds '
    'nothing, as Eq. 2.',
    optional=True,
  )
  target_entropy_per_dim: float | None = fields.number(
    None,
    'Entropy of the policy per action dimension, in nats, to which the temperature '
    'adapts from its value above; None keeps the temperature, as the paper does.',
    optional=True,
  )
  temperature_learning_rate: float = fields.number(
    3e-4,
    'How much the logarithm of an adaptive temperature changes per SGD step and nat '
    'that the entropy lacks.',
  )
  discount: float = fields.number(
    0.99, "The paper's gamma, in [0, 1].", least=0, most=1
  )
  n_step: int = fields.integer(
    1,
    'Environment steps per transition. Above 1 the return is biased: it is off-'
    'policy, and Eq. 2 has no n-step form (only one log-policy term is paid).',
  )

  # The networks (Section 4 and 6).
  policy_family: str = fields.choice(
    'multicategorical',
    "'multicategorical' (Section 4), 'autoregressive' (the same with dependence between "
    "dimensions) or 'gaussian' (the ablation of Figure 2; not for integer actions).",
    POLICY_FAMILIES,
    elsewhere='gaussian for iq_gaussian and m_iq_gaussian; autoregressive for '
    'iq_autoregressive and m_iq_autoregressive',
  )
  num_action_values: int = fields.integer(
    11,
    "Values per action dimension, the paper's n (Section 4). Of no meaning for actions "
    "that are integers: each is a value, as the environment's spec says.",
    least=2,
  )
  scale_logits_by_temperature: bool = fields.boolean(
    False,
    "Divide the logits by the temperature (Section 3.3); the paper's experiments "
    'use them as they are (Section 4).',
  )
  separate_value: bool = fields.boolean(
    True,
    'Whether V is a network of its own (Section 3). If not, the policy network outputs '
    'Q, a sum over dimensions, and V(s) is its soft value, tau sum_j logsumexp(Q^j / '
    'tau), so that Eq. 1 holds as before.',
  )
  hidden_layer_sizes: Sequence[int] = fields.sizes(
    (256, 256),
    "Width of each hidden layer, of both networks (SAC's, Section 6).",
  )
  output_init_scale: float = fields.number(
    1e-4,
    "Variance scale of both output layers' initial weights, above 0. The paper "
    "names none. The default did better than SAC's 1 on HalfCheetah, on too few "
    'seeds to be sure, and alike on Pendulum (experiments/results/halfcheetah).',
  )
  normalize_observations: bool = fields.boolean(
    False,
    'Standardise observations with running statistics, as --settings=tuned does on '
    'HalfCheetah.',
  )
  num_pairs: int = fields.integer(
    1,
    'Independent pairs (pi, V), each trained by Eq. 2, the smallest of whose '
    'bootstraps all share. The first acts, is evaluated and saved.',
  )
  num_q_networks: int = fields.integer(
    1,
    'Networks of Q, with separate_value off, whose mean makes the policy. Each learns by '
    'Eq. 2; all share the smallest of what they say the next state is worth under that '
    'policy.',
  )

  # Optimisation (Section 6; values it does not state are SAC's).
  learning_rate: float = fields.number(
    3e-4,
    "Adam's step size.",
    elsewhere='3e-05 on adroit; 0.0001 on Humanoid and Walker2d, but for sac',
  )
  policy_learning_rate: float | None = fields.number(
    None,
    "Adam's step size of the policy; None stands for `learning_rate`, the paper's "
    'one for both networks.',
    optional=True,
  )
  policy_start: int = fields.integer(
    0, "SGD steps that train V alone, before the policy's first.", least=0
  )
  center_policy_error: bool = fields.boolean(
    False,
    'Teach the policy the error of Eq. 2 less its mean over the batch: what all '
    'transitions have in common tells actions not apart.',
  )
  target_update_rate: float = fields.number(
    0.005,
    "The paper's lambda, the weight of the new parameters in the Polyak average, in"
    ' (0, 1].',
    most=1,
  )
  batch_size: int = fields.integer(
    256,
    'Transitions per SGD step.',
  )
  num_sgd_steps_per_step: int = fields.integer(
    1,
    "SGD steps per call of the learner's `step`, in one scan.",
  )

  # Replay.
  min_replay_size: int = fields.integer(
    10_000,
    'Environment steps, over all actors, taken uniformly at random before the first'
    ' SGD step; replay holds that many transitions by then.',
  )
  max_replay_size: int = fields.integer(
    1_000_000,
    'Transitions kept; the oldest leave first.',
  )
  replay: str = fields.choice(
    'resident',
    "'table' samples from Reverb's own table; 'resident' from a ring beside the "
    'learner, to which Reverb carries each transition once.',
    REPLAYS,
  )
  samples_per_insert: float | None = fields.number(
    None,
    'Sampled transitions per environment step; None stands for `batch_size`, that '
    'is one SGD step per environment step. Distributed runs count stored '
    'transitions in place of steps, as Reverb does: with `n_step` above 1 these are'
    ' n_step - 1 more in each episode.',
    optional=True,
  )
  samples_per_insert_tolerance_rate: float = fields.number(
    0.1,
    'How far a distributed run may stray from `samples_per_insert`, as a fraction '
    'of it, times `min_replay_size`.',
  )
  prefetch_size: int = fields.integer(
    2, 'Batches read ahead of the learner from Reverb.', least=0
  )
  num_sampling_workers: int = fields.integer(
    2,
    'Parallel Reverb samplers that feed the learner.',
  )

  # Logging.
  log_period: int = fields.integer(
    1_000,
    'SGD steps between two rows of learner metrics.',
  )

  def __post_init__(self):
    fields.check(self)
    if self.target_entropy_per_dim is not None and (
      self.policy_family != 'multicategorical'
    ):
      raise fields.error(
        self,
        'target_entropy_per_dim',
        f'None with policy_family {self.policy_family!r}: the temperature adapts only '
        "'multicategorical' policies, whose entropy is exact",
      )
    self._check_separate_value()
    self._check_num_q_networks()
    fields.check_rising(self, 'batch_size', 'min_replay_size', 'max_replay_size')

  def _check_separate_value(self) -> None:
    """Raises if what a single network cannot have is asked for."""
    if self.separate_value:
      return
    if self.policy_family != 'multicategorical':
      allowed = "True unless policy_family is 'multicategorical'"
      raise fields.error(self, 'separate_value', allowed)
    if not self.scale_logits_by_temperature:
      allowed = 'True unless scale_logits_by_temperature: the logits are Q over tau'
      raise fields.error(self, 'separate_value', allowed)
    names = ('policy_learning_rate', 'policy_start', 'center_policy_error')
    defaults = {field.name: field.default for field in dataclasses.fields(self)}
    for name in names:
      if (value := getattr(self, name)) != defaults[name]:
        allowed = f'True with {name} {value!r}: the policy has no value beside it'
        raise fields.error(self, 'separate_value', allowed)

  def _check_num_q_networks(self) -> None:
    """Raises if several networks of Q are asked for where there can be but one."""
    if self.num_q_networks == 1:
      return
    for name, needed in (
      ('separate_value', False),
      ('num_pairs', 1),
      ('target_entropy_per_dim', None),
    ):
      if getattr(self, name) != needed:
        allowed = f'1 unless {name} is {needed}'
        raise fields.error(self, 'num_q_networks', allowed)

  @property
  def sampled_per_step(self) -> float:
    """Sampled transitions per environment step, `samples_per_insert` resolved."""
    if self.samples_per_insert is None:
      return float(self.batch_size)
    return self.samples_per_insert


class Hyperparameters(NamedTuple):
  """The fields of `IQConfig` that only change numbers; all others change the program.

  One agent closes over them as Python floats. A population's are arrays, a number for
  each member; `fields.with_numbers` puts them in their configuration's place. None
  stands for a field that has no number in it.
  """

  temperature: Any
  munchausen_coefficient: Any
  munchausen_bound: Any
  advantage_bound: Any
  disadvantage_bound: Any
  target_entropy_per_dim: Any
  temperature_learning_rate: Any
  discount: Any
  learning_rate: Any
  policy_learning_rate: Any
  target_update_rate: Any


def paper_config(task: str) -> IQConfig:
  """Returns the paper's settings of M-IQ for a task (Section 6).

  The text states one temperature per suite (0.01 on Gym, 0.001 on Adroit), a
  learning rate of 3e-5 on Adroit and 'a lower value' on Humanoid and Walker, for
  which 1e-4 stands here. dm_control, which the paper does not use, gets Gym's.

  Args:
    task: an environment name such as 'gym:Humanoid-v4' or 'adroit:door'.

  Returns:
    The configuration; `dataclasses.replace` makes a variant of it.
  """
  suite, _, name = task.partition(':')
  if suite == 'adroit':
    return IQConfig(temperature=0.001, learning_rate=3e-5)
  if suite == 'gym' and name.startswith(('Humanoid-', 'Walker2d-')):
    return IQConfig(learning_rate=1e-4)
  return IQConfig()


def tuned_config(task: str) -> IQConfig:
  """Returns settings of M-IQ that learn faster than the paper's (docs/learning.md).

  On HalfCheetah observations are normalised, as was measured for M-IQ on -v4. On other
  tasks nothing is confirmed, and the settings are the paper's.

  Args:
    task: an environment name such as 'gym:HalfCheetah-v4'.

  Returns:
    The configuration; `dataclasses.replace` makes a variant of it.
  """
  return dataclasses.replace(
    paper_config(task), normalize_observations=task.startswith('gym:HalfCheetah-')
  )
