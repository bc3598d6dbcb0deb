"""SAC's hyperparameters, without anything of Acme."""

import dataclasses
from collections.abc import Sequence

from iq_acme import fields

# In the header of a policy file that `agent.SACAgent.save_policy` wrote.
POLICY_FORMAT = 'acme_sac policy'


@fields.documented
@dataclasses.dataclass(frozen=True)
class SACHyperparameters:
  """Of SAC with an adaptive temperature (https://arxiv.org/abs/1812.05905, table 1).

  The target entropy is minus the number of action dimensions, as there. The 10,000
  uniform actions in [-1, 1] before the first SGD step are Acme's default; the paper's
  table has none. The temperature's own learning rate is a constant of Acme's, 3e-4.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  learning_rate: float = fields.number(
    3e-4,
    "Adam's, of policy and critics.",
  )
  hidden_layer_sizes: Sequence[int] = fields.sizes(
    (256, 256),
    'Width of each hidden layer of policy and critics.',
  )
  discount: float = fields.number(0.99, 'Of the return, gamma.', least=0, most=1)
  target_update_rate: float = fields.number(
    0.005, 'Weight of the new parameters in the Polyak average.', most=1
  )
  normalize_observations: bool = fields.boolean(
    False,
    "Standardise observations with running statistics. Acme's default is True "
    '(`normalize_input`), which its agent here does not take; a population does.',
  )
  batch_size: int = fields.integer(
    256,
    'Transitions per SGD step; there is one SGD step per environment step.',
  )
  min_replay_size: int = fields.integer(
    10_000,
    'Uniformly random environment steps before the first SGD step.',
  )
  max_replay_size: int = fields.integer(
    1_000_000,
    'Transitions kept; the oldest leave first.',
  )
  log_period: int = fields.integer(
    1_000,
    'SGD steps between two rows of learner metrics.',
  )

  def __post_init__(self):
    fields.check(self)
    fields.check_rising(self, 'batch_size', 'min_replay_size', 'max_replay_size')
