"""The paper's experiments as data: suites, algorithms, sweeps, budgets.

"Implicitly Regularized RL with Implicit Q-Values", https://arxiv.org/abs/2108.07041,
Section 6. The hyperparameters of each algorithm on each task are
`algorithms.make_config`'s; here is what is run. `plans.expand` makes runs of it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Task:
  """What plans and figures need to know of a task without making it.

  Attributes:
    observation_size: numbers in an observation.
    action_size: action dimensions.
    episode_length: steps of an episode that is not cut short.
  """

  observation_size: int
  action_size: int
  episode_length: int

  @property
  def bytes_per_transition(self) -> int:
    """In replay and its checkpoints: float32 (s, a, r, discount, s')."""
    return 4 * (2 * self.observation_size + self.action_size + 2)


TASKS = {
  'gym:Hopper-v4': Task(11, 3, 1000),
  'gym:Walker2d-v4': Task(17, 6, 1000),
  'gym:HalfCheetah-v4': Task(17, 6, 1000),
  'gym:Ant-v4': Task(27, 8, 1000),
  'gym:Humanoid-v4': Task(376, 17, 1000),
  'adroit:door': Task(39, 28, 200),
  'adroit:hammer': Task(46, 26, 200),
  'adroit:pen': Task(45, 24, 100),
}
# The paper ran -v2 of the first suite; of Adroit it left out relocate, which nothing
# could learn.
SUITES = {
  'gym': tuple(name for name in TASKS if name.startswith('gym:')),
  'adroit': tuple(name for name in TASKS if name.startswith('adroit:')),
}
NUM_STEPS = 20_000_000
NUM_SEEDS = 20
# Of all runs here unless a study says otherwise; the paper does not state its own.
EVALUATION_PERIOD = 10_000  # Environment steps.
EVALUATION_EPISODES = 5  # Of the mode, and as many of the sampled policy.
BASELINE = 'sac'


@dataclasses.dataclass(frozen=True)
class Variant:
  """An algorithm with changes to its settings for the task.

  Attributes:
    algorithm: one of `algorithms.NAMES`.
    overrides: values by field of its configuration.
  """

  algorithm: str
  overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def label(self) -> str:
    """For legends and tables, such as 'iq temperature=0.1'."""
    changes = [f'{name}={as_text(value)}' for name, value in self.overrides.items()]
    return ' '.join([self.algorithm, *changes])


def as_text(value: Any) -> str:
  """Returns a value of a hyperparameter for labels and folders, sizes as '64x64'."""
  is_sequence = isinstance(value, (list, tuple))
  return 'x'.join(map(str, value)) if is_sequence else f'{value:g}'


@dataclasses.dataclass(frozen=True)
class Study:
  """Runs that belong together: every variant on every task with every seed.

  Attributes:
    title: what it shows.
    tasks: names of `TASKS`.
    variants: what is compared.
    num_seeds: seeds of each.
    num_steps: environment steps of each run.
    first_seed: the seeds are this one and those that follow.
    env_options: (name, value) pairs that the environments are made with.
    evaluation_episodes: of each evaluation, of the mode and of the sampled policy.
  """

  title: str
  tasks: tuple[str, ...]
  variants: tuple[Variant, ...]
  num_seeds: int = NUM_SEEDS
  num_steps: int = NUM_STEPS
  first_seed: int = 0
  env_options: tuple[tuple[str, Any], ...] = ()
  evaluation_episodes: int = EVALUATION_EPISODES


def _named(*names: str) -> tuple[Variant, ...]:
  return tuple(Variant(name) for name in names)


def _sweep(
  algorithm: str, field: str, values: tuple[float, ...]
) -> tuple[Variant, ...]:
  return tuple(Variant(algorithm, {field: value}) for value in values)


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A claim of Section 6 that one algorithm is ahead of another.

  Attributes:
    claim: in a few words.
    ahead: the algorithm that is said to be ahead.
    behind: the other.
  """

  claim: str
  ahead: str
  behind: str


COMPARISONS = (
  Comparison('IQ against SAC', 'm_iq', 'sac'),
  Comparison('IQ against SAC', 'iq', 'sac'),
  Comparison('Munchausen term', 'm_iq', 'iq'),
  Comparison('fixed point against residual', 'm_iq', 'trust_pcl'),
  Comparison('fixed point against residual', 'iq', 'pcl'),
  Comparison('multicategorical against Gaussian', 'm_iq', 'm_iq_gaussian'),
  Comparison('multicategorical against Gaussian', 'iq', 'iq_gaussian'),
)
FIGURE_2 = _named(
  'iq', 'm_iq', 'sac', 'pcl', 'trust_pcl', 'iq_gaussian', 'm_iq_gaussian'
)
FIGURE_3 = _named('iq', 'm_iq', 'sac')
TEMPERATURES = _sweep('iq', 'temperature', (1e-4, 1e-3, 1e-2, 1e-1, 1.0))
MUNCHAUSEN_TEMPERATURES = _sweep('m_iq', 'temperature', (1e-4, 1e-3, 1e-2, 1e-1, 1.0))
COEFFICIENTS = _sweep('m_iq', 'munchausen_coefficient', (0.0, 0.1, 0.5, 0.9, 0.99))
# The paper tuned it, to 1e-4.
RESIDUAL_TEMPERATURES = _sweep('trust_pcl', 'temperature', (1e-4, 1e-3, 1e-2))
# The paper says only that it is lower than SAC's on these two.
LEARNING_RATES = _sweep('m_iq', 'learning_rate', (3e-5, 1e-4, 3e-4))
_LOWER_RATE_TASKS = ('gym:Walker2d-v4', 'gym:Humanoid-v4')
_HALFCHEETAH = ('gym:HalfCheetah-v4',)

# The paper's own, at its budget.
PAPER_PLANS: dict[str, tuple[Study, ...]] = {
  'figure2': (Study('Figure 2: Gym and ablations', SUITES['gym'], FIGURE_2),),
  'figure3': (Study('Figure 3: Adroit', SUITES['adroit'], FIGURE_3),),
  'figure4': (
    Study('Figure 4: temperature, coefficient 0', SUITES['gym'], TEMPERATURES),
  ),
  'figure4_munchausen': (
    Study(
      "Figure 4's twin: temperature, coefficient 0.9",
      SUITES['gym'],
      MUNCHAUSEN_TEMPERATURES,
    ),
  ),
  'coefficient': (Study('Munchausen coefficient', SUITES['gym'], COEFFICIENTS),),
  'learning_rate': (Study('Learning rate of M-IQ', _LOWER_RATE_TASKS, LEARNING_RATES),),
}

# What was affordable on two cores; measured, on the results page.
MEASURED_PLANS: dict[str, tuple[Study, ...]] = {
  'block1': (
    Study(
      'HalfCheetah, ablations',
      _HALFCHEETAH,
      _named('iq', 'm_iq', 'pcl', 'trust_pcl', 'm_iq_gaussian', 'sac'),
      num_seeds=3,
      num_steps=200_000,
    ),
  ),
  'block2': (
    Study('Hopper', ('gym:Hopper-v4',), FIGURE_3, num_seeds=2, num_steps=500_000),
  ),
  'block3': (
    Study(
      'Adroit',
      ('adroit:door', 'adroit:pen'),
      _named('m_iq', 'sac'),
      num_seeds=2,
      num_steps=100_000,
    ),
  ),
  'block4': (
    Study('Temperature', _HALFCHEETAH, TEMPERATURES, num_seeds=1, num_steps=200_000),
    Study('Coefficient', _HALFCHEETAH, COEFFICIENTS, num_seeds=1, num_steps=100_000),
  ),
  'block5': (
    Study(
      'The other tasks',
      ('gym:Walker2d-v4', 'gym:Ant-v4', 'gym:Humanoid-v4'),
      _named('m_iq', 'sac'),
      num_seeds=1,
      num_steps=200_000,
    ),
  ),
  'trust_pcl_100k': (
    Study(
      'Temperature of Trust-PCL',
      _HALFCHEETAH,
      RESIDUAL_TEMPERATURES,
      num_seeds=1,
      num_steps=100_000,
    ),
  ),
  'learning_rate_200k': (
    Study(
      'Learning rate of M-IQ',
      _LOWER_RATE_TASKS,
      LEARNING_RATES,
      num_seeds=1,
      num_steps=200_000,
    ),
  ),
}

# Of docs/discrete.md, with settings of their own: the paper has no such task. They were
# chosen on seeds 0 to 2.
_CARTPOLE = {
  'temperature': 0.3,
  'learning_rate': 1e-3,
  'target_update_rate': 0.1,
  'normalize_observations': True,
  'hidden_layer_sizes': (64, 64),
  'batch_size': 128,
  'samples_per_insert': 64.0,
  'min_replay_size': 1_000,
}
_ACROBOT = {
  **_CARTPOLE,
  'temperature': 0.03,
  'target_update_rate': 0.05,
  'normalize_observations': False,
  'batch_size': 64,
  'samples_per_insert': 32.0,
}
DISCRETE_PLANS: dict[str, tuple[Study, ...]] = {
  'discrete': tuple(
    Study(
      'Discrete', (task,), (variant,), 3, 50_000, first_seed=3, evaluation_episodes=20
    )
    for task, variant in (
      ('gym:CartPole-v1', Variant('iq', _CARTPOLE)),
      ('gym:Acrobot-v1', Variant('m_iq', _ACROBOT)),
    )
  )
}
