"""The learning study as data: what its plans run, each with the rule on its page.

The rules, and what came out, are in experiments/results/learning; the page that tells it
is docs/learning.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.learning import design
from experiments.paper.settings import Study, Variant
from iq_acme.config import paper_config, tuned_config


def _screen(title: str, overrides: Mapping[str, Any]) -> tuple[Study, ...]:
  """Makes a study of each run: what is changed is of its task, its seed its own."""
  return tuple(
    Study(
      title,
      (task,),
      (Variant('m_iq', {**design.overrides(task, run), **overrides}),),
      num_seeds=1,
      num_steps=design.NUM_STEPS,
      first_seed=seed,
    )
    for task in design.TASKS
    for seed, run in enumerate(design.signs())
  )


def _confirmation(title: str, *variants: Variant) -> tuple[Study, ...]:
  """Makes a study of each task, at the paper's size on seeds that chose nothing."""
  return tuple(
    Study(title, (task,), variants, num_seeds=4, num_steps=num_steps, first_seed=30)
    for task, num_steps in (('gym:HalfCheetah-v4', 200_000), ('gym:Hopper-v4', 500_000))
  )


def _tuned(task: str) -> dict[str, Any]:
  """Returns what the tuned settings of a task have otherwise than the paper's."""
  papers, tuned = map(dataclasses.asdict, (paper_config(task), tuned_config(task)))
  return {name: value for name, value in tuned.items() if value != papers[name]}


# Why it learns slowly: what keeps the policy from collapsing, or V from diverging.
_V_FIRST = {'min_replay_size': 1_000, 'policy_start': 9_000}
REMEDIES = (
  Variant('m_iq'),
  Variant('m_iq', {'advantage_bound': 10.0}),
  Variant('m_iq', {'advantage_bound': 1.0}),
  Variant('m_iq', _V_FIRST),
  Variant('m_iq', {'policy_learning_rate': 3e-5}),
  Variant('m_iq', {'advantage_bound': 10.0, **_V_FIRST}),
  Variant('m_iq', {'learning_rate': 3e-5}),
  Variant('m_iq', {'policy_learning_rate': 1e-5}),
)
_TWO_PAIRS = {'num_pairs': 2}
_NORMALIZED = {'normalize_observations': True}
_RAW_AND_NORMALIZED = (Variant('m_iq', _NORMALIZED), Variant('m_iq'))
# As far below uniform, log 11, as SAC's target of -1 for a density on [-1, 1] is.
_ADAPTS = {'target_entropy_per_dim': 0.7}

# Measured one task after the other.
LEARNING_PLANS: dict[str, tuple[Study, ...]] = {
  'remedies': tuple(
    Study('What mends the collapse', (task,), REMEDIES, num_seeds=2, num_steps=100_000)
    for task in ('gym:Hopper-v4', 'gym:Walker2d-v4')
  ),
  'factorial': _screen('Screen of seven settings', {}),
  'factorial_small': _screen('The same screen, small networks', design.SMALL),
  'normalization': _confirmation('Normalised observations', *_RAW_AND_NORMALIZED),
  'bounded': _confirmation(
    'Normalised observations, disadvantages bounded',
    Variant('m_iq', {**_NORMALIZED, 'disadvantage_bound': 10.0}),
    *_RAW_AND_NORMALIZED,
  ),
  'ensemble': _confirmation(
    'One policy of two Q-networks',
    *_RAW_AND_NORMALIZED,
    Variant('m_iq', {**design.ENSEMBLE, **_NORMALIZED}),
  ),
  'families': tuple(
    Study(
      'Policies beyond the paper',
      (task,),
      tuple(
        Variant(variant.algorithm, {**_tuned(task), **variant.overrides})
        for variant in (
          Variant('m_iq_autoregressive'),
          Variant('m_iq', _ADAPTS),
          Variant('m_iq'),
        )
      ),
      num_seeds=3,
      num_steps=200_000,
      first_seed=30,
    )
    for task in design.TASKS
  ),
  'one_network_small': tuple(
    Study(
      'One network in place of two, small networks',
      (task,),
      tuple(
        Variant(variant.algorithm, {**variant.overrides, **design.SMALL})
        for variant in (
          Variant('m_iq', {**design.ONE_NETWORK, **_TWO_PAIRS}),
          Variant('m_iq'),
          Variant('sac'),
          Variant('m_iq', design.ONE_NETWORK),
          Variant('m_iq', _TWO_PAIRS),
        )
      ),
      num_seeds=4,
      num_steps=100_000,
      first_seed=20,
    )
    for task in ('gym:HalfCheetah-v4', 'gym:Hopper-v4', 'gym:Walker2d-v4')
  ),
}
