"""SAC's hyperparameters, without anything of Acme."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

# In the header of a policy file that `sac_agent.SACAgent.save_policy` wrote.
POLICY_FORMAT = 'acme_sac policy'


@dataclasses.dataclass(frozen=True)
class SACHyperparameters:
  """Of SAC with an adaptive temperature (https://arxiv.org/abs/1812.05905, table 1).

  The target entropy is minus the number of action dimensions, as there. The 10,000
  uniform actions in [-1, 1] before the first SGD step are Acme's default; the paper's
  table has none. The temperature's own learning rate is a constant of Acme's, 3e-4.

  Attributes:
    learning_rate: Adam's, of policy and critics.
    hidden_layer_sizes: width of each hidden layer of policy and critics.
    discount: gamma.
    target_update_rate: weight of the new parameters in the Polyak average.
    batch_size: transitions per SGD step; there is one SGD step per environment step.
    min_replay_size: uniformly random environment steps before the first SGD step.
    max_replay_size: transitions kept; the oldest leave first.
    log_period: SGD steps between two rows of learner metrics.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  learning_rate: float = 3e-4
  hidden_layer_sizes: Sequence[int] = (256, 256)
  discount: float = 0.99
  target_update_rate: float = 0.005
  batch_size: int = 256
  min_replay_size: int = 10_000
  max_replay_size: int = 1_000_000
  log_period: int = 1_000

  def __post_init__(self):
    # JSON and flags bring lists; a tuple keeps the settings hashable.
    if isinstance(self.hidden_layer_sizes, list):
      object.__setattr__(self, 'hidden_layer_sizes', tuple(self.hidden_layer_sizes))
    _check(self)


def _check(config: SACHyperparameters) -> None:
  for name, low_included, high in (
    ('learning_rate', False, math.inf),
    ('discount', True, 1.0),
    ('target_update_rate', False, 1.0),
  ):
    value = getattr(config, name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    above = is_number and (value >= 0 if low_included else value > 0)
    if not (above and value <= high and math.isfinite(value)):
      bracket = '[' if low_included else '('
      end = 'infinity)' if high == math.inf else f'{high:g}]'
      raise _error(config, name, f'a number in {bracket}0, {end}')
  sizes = config.hidden_layer_sizes
  if not (isinstance(sizes, tuple) and sizes and all(_is_count(s) for s in sizes)):
    raise _error(config, 'hidden_layer_sizes', 'a non-empty tuple of positive integers')
  for name in ('batch_size', 'min_replay_size', 'max_replay_size', 'log_period'):
    if not _is_count(getattr(config, name)):
      raise _error(config, name, 'a positive integer')
  for smaller, larger in (
    ('batch_size', 'min_replay_size'),
    ('min_replay_size', 'max_replay_size'),
  ):
    bound = getattr(config, smaller)
    if getattr(config, larger) < bound:
      raise _error(config, larger, f'at least {smaller} ({bound})')


def _is_count(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _error(config: SACHyperparameters, name: str, allowed: str) -> ValueError:
  value = getattr(config, name)
  return ValueError(f'SACHyperparameters.{name} is {value!r}; it must be {allowed}.')
