"""Every hyperparameter of the agent, once, with its place in the paper."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

VALUE_BOOTSTRAPS = ('target', 'online')
REPLAYS = ('table', 'resident')
POLICY_FAMILIES = ('multicategorical', 'gaussian')
# Fields that may be None.
OPTIONAL = (
  'samples_per_insert',
  'policy_learning_rate',
  'munchausen_bound',
  'advantage_bound',
)


def _hyperparameter(default: Any, description: str) -> Any:
  """A dataclass field whose description also serves as its flag's help text."""
  return dataclasses.field(default=default, metadata={'help': description})


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

  Attributes:
    temperature: the paper's tau in Eq. 1 and 2, in units of reward; above 0.
    munchausen_coefficient: the paper's alpha in Eq. 2, in [0, 1].
    value_bootstrap: 'target' bootstraps from the target value network (IQ, Eq. 2);
      'online' from the online one, with its gradient (Trust-PCL, Section 6).
    advantage_bound: largest absolute value of the implicit advantage tau log pi(a|s), in
      Q and in the Munchausen term, in units of reward; beyond it V alone learns from a
      transition. None bounds nothing, as Eq. 1.
    discount: the paper's gamma, in [0, 1].
    n_step: environment steps per transition. Above 1 the return is biased: it is
      off-policy, and Eq. 2 has no n-step form (only one log-policy term is paid).
    policy_family: 'multicategorical' (Section 4) or 'gaussian' (the ablation of
      Figure 2).
    num_action_values: values per action dimension, the paper's n (Section 4).
    scale_logits_by_temperature: divide the logits by the temperature (Section 3.3);
      the paper's experiments use them as they are (Section 4).
    hidden_layer_sizes: width of each hidden layer, of both networks (SAC's, Section 6).
    output_init_scale: variance scale of both output layers' initial weights, above 0.
      The paper names none. The default did better than SAC's 1 on HalfCheetah, on too
      few seeds to be sure, and alike on Pendulum (experiments/results/halfcheetah).
    normalize_observations: standardise observations with running statistics.
    num_pairs: independent pairs (pi, V), each trained by Eq. 2, the smallest of whose
      bootstraps all share. The first acts, is evaluated and saved.
    learning_rate: Adam's step size.
    policy_learning_rate: Adam's step size of the policy; None stands for
      `learning_rate`, the paper's one for both networks.
    policy_start: SGD steps that train V alone, before the policy's first.
    center_policy_error: teach the policy the error of Eq. 2 less its mean over the
      batch: what all transitions have in common tells actions not apart.
    munchausen_bound: largest absolute value of the Munchausen term, in units of reward;
      None bounds nothing, as Eq. 2.
    target_update_rate: the paper's lambda, the weight of the new parameters in the
      Polyak average, in (0, 1].
    batch_size: transitions per SGD step.
    num_sgd_steps_per_step: SGD steps per call of the learner's `step`, in one scan.
    min_replay_size: environment steps, over all actors, taken uniformly at random
      before the first SGD step; replay holds that many transitions by then.
    max_replay_size: transitions kept; the oldest leave first.
    replay: 'table' samples from Reverb's own table; 'resident' from a ring beside the
      learner, to which Reverb carries each transition once.
    samples_per_insert: sampled transitions per environment step; None stands for
      `batch_size`, that is one SGD step per environment step. Distributed runs count
      stored transitions in place of steps, as Reverb does: with `n_step` above 1 these
      are n_step - 1 more in each episode.
    samples_per_insert_tolerance_rate: how far a distributed run may stray from
      `samples_per_insert`, as a fraction of it, times `min_replay_size`.
    prefetch_size: batches read ahead of the learner from Reverb.
    num_sampling_workers: parallel Reverb samplers that feed the learner.
    log_period: SGD steps between two rows of learner metrics.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  # The loss (Eq. 1 and 2).
  temperature: float = _hyperparameter(0.01, "Temperature (the paper's tau).")
  munchausen_coefficient: float = _hyperparameter(
    0.9, "Munchausen coefficient (the paper's alpha); 0 is IQ, above 0 M-IQ."
  )
  value_bootstrap: str = _hyperparameter(
    'target', "'target' (IQ) or 'online' (PCL, Trust-PCL)."
  )
  munchausen_bound: float | None = _hyperparameter(
    None, 'Largest absolute value of the Munchausen term; unset: none.'
  )
  advantage_bound: float | None = _hyperparameter(
    None, 'Largest absolute value of the implicit advantage; unset: none.'
  )
  discount: float = _hyperparameter(0.99, "Discount (the paper's gamma).")
  n_step: int = _hyperparameter(1, 'Steps per transition; above 1 is biased.')

  # The networks (Section 4 and 6).
  policy_family: str = _hyperparameter(
    'multicategorical', "'multicategorical' or 'gaussian'."
  )
  num_action_values: int = _hyperparameter(
    11, "Values per action dimension (the paper's n)."
  )
  scale_logits_by_temperature: bool = _hyperparameter(
    False, 'Divide the logits by the temperature (Section 3.3).'
  )
  hidden_layer_sizes: Sequence[int] = _hyperparameter(
    (256, 256), 'Widths of the hidden layers of both networks.'
  )
  output_init_scale: float = _hyperparameter(
    1e-4, "Variance scale of the output layers' initial weights; 1 is SAC's."
  )
  normalize_observations: bool = _hyperparameter(
    False, 'Standardise observations with running statistics.'
  )
  num_pairs: int = _hyperparameter(
    1, 'Independent pairs (pi, V), of which the smallest V is bootstrapped from.'
  )

  # Optimisation (Section 6; values it does not state are SAC's).
  learning_rate: float = _hyperparameter(3e-4, "Adam's learning rate.")
  policy_learning_rate: float | None = _hyperparameter(
    None, "Adam's learning rate of the policy; unset: learning_rate."
  )
  policy_start: int = _hyperparameter(0, 'SGD steps that train V alone at first.')
  center_policy_error: bool = _hyperparameter(
    False, 'Teach the policy the error less its mean over the batch.'
  )
  target_update_rate: float = _hyperparameter(
    0.005, "Polyak rate of the target networks (the paper's lambda)."
  )
  batch_size: int = _hyperparameter(256, 'Transitions per SGD step.')
  num_sgd_steps_per_step: int = _hyperparameter(1, 'SGD steps per learner step.')

  # Replay.
  min_replay_size: int = _hyperparameter(
    10_000, 'Uniformly random environment steps before the first SGD step.'
  )
  max_replay_size: int = _hyperparameter(1_000_000, 'Transitions kept in replay.')
  replay: str = _hyperparameter(
    'resident',
    "'table' (Reverb samples) or 'resident' (a ring beside the learner does).",
  )
  samples_per_insert: float | None = _hyperparameter(
    None, 'Sampled transitions per environment step; unset: the batch size.'
  )
  samples_per_insert_tolerance_rate: float = _hyperparameter(
    0.1, 'Tolerance of samples_per_insert in distributed runs.'
  )
  prefetch_size: int = _hyperparameter(2, 'Batches read ahead of the learner.')
  num_sampling_workers: int = _hyperparameter(2, 'Parallel Reverb samplers.')

  # Logging.
  log_period: int = _hyperparameter(1_000, 'SGD steps between learner metrics.')

  def __post_init__(self):
    # JSON and flags bring lists; a tuple keeps the config hashable.
    if isinstance(self.hidden_layer_sizes, list):
      object.__setattr__(self, 'hidden_layer_sizes', tuple(self.hidden_layer_sizes))
    _check(self)

  @property
  def sampled_per_step(self) -> float:
    """Sampled transitions per environment step, `samples_per_insert` resolved."""
    if self.samples_per_insert is None:
      return float(self.batch_size)
    return self.samples_per_insert


def paper_config(task: str) -> IQConfig:
  """The paper's settings of M-IQ for a task (Section 6).

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


def _check(config: IQConfig) -> None:
  """Raises ValueError for the first field whose value makes no sense."""
  _check_numbers(config)
  if config.value_bootstrap not in VALUE_BOOTSTRAPS:
    raise _error(config, 'value_bootstrap', f'one of {VALUE_BOOTSTRAPS}')
  if config.replay not in REPLAYS:
    raise _error(config, 'replay', f'one of {REPLAYS}')
  if config.policy_family not in POLICY_FAMILIES:
    raise _error(config, 'policy_family', f'one of {POLICY_FAMILIES}')
  sizes = config.hidden_layer_sizes
  if not (
    isinstance(sizes, tuple) and sizes and all(_is_int(s) and s > 0 for s in sizes)
  ):
    raise _error(config, 'hidden_layer_sizes', 'a non-empty tuple of positive integers')
  for name in (
    'scale_logits_by_temperature',
    'normalize_observations',
    'center_policy_error',
  ):
    if not isinstance(getattr(config, name), bool):
      raise _error(config, name, 'True or False')
  if config.min_replay_size < config.batch_size:
    raise _error(
      config, 'min_replay_size', f'at least batch_size ({config.batch_size})'
    )
  if config.max_replay_size < config.min_replay_size:
    raise _error(
      config, 'max_replay_size', f'at least min_replay_size ({config.min_replay_size})'
    )


def _check_numbers(config: IQConfig) -> None:
  """Checks the range of every numeric field."""
  infinity = math.inf
  for name, low, low_included, high in (
    ('temperature', 0.0, False, infinity),
    ('munchausen_coefficient', 0.0, True, 1.0),
    ('discount', 0.0, True, 1.0),
    ('output_init_scale', 0.0, False, infinity),
    ('learning_rate', 0.0, False, infinity),
    ('policy_learning_rate', 0.0, False, infinity),
    ('munchausen_bound', 0.0, False, infinity),
    ('advantage_bound', 0.0, False, infinity),
    ('target_update_rate', 0.0, False, 1.0),
    ('samples_per_insert', 0.0, False, infinity),
    ('samples_per_insert_tolerance_rate', 0.0, False, infinity),
  ):
    value = getattr(config, name)
    if name in OPTIONAL and value is None:
      continue
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    above = is_number and (value >= low if low_included else value > low)
    if not (above and value <= high and math.isfinite(value)):
      bracket = '[' if low_included else '('
      end = 'infinity)' if high == infinity else f'{high:g}]'
      raise _error(config, name, f'a number in {bracket}{low:g}, {end}')
  for name, low in (
    ('n_step', 1),
    ('num_action_values', 2),
    ('num_pairs', 1),
    ('policy_start', 0),
    ('batch_size', 1),
    ('num_sgd_steps_per_step', 1),
    ('min_replay_size', 1),
    ('max_replay_size', 1),
    ('prefetch_size', 0),
    ('num_sampling_workers', 1),
    ('log_period', 1),
  ):
    value = getattr(config, name)
    if not (_is_int(value) and value >= low):
      raise _error(config, name, f'an integer of at least {low}')


def _is_int(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _error(config: IQConfig, name: str, allowed: str) -> ValueError:
  return ValueError(
    f'IQConfig.{name} is {getattr(config, name)!r}; it must be {allowed}.'
  )
