"""Section 3.3: the soft advantage and what it becomes as the temperature goes to 0.

With pi = softmax(F / tau), Eq. 1 reads Q = F - tau ln sum exp(F / tau) + V. Three
ways to centre F then differ in one number per state, so all give the same policy:

    soft (IQ)       F - tau ln sum exp(F / tau)     V is the soft value of Q
    max (dueling)   F - max F                       V is the largest Q
    mean (dueling)  F - mean F                      V is the average Q

From max F <= tau ln sum exp(F / tau) <= max F + tau ln A, the soft one is within
tau ln A of the max one, and the bound is attained where all of F is equal. With the
mean, pi = softmax(Q / tau) still is softmax(F / tau), but Q - V no longer is
tau ln pi: V falls short of the soft value of Q by `mean_value_shortfall`, which
tends to max F - mean F and not to 0. So Eq. 3 would no longer back up the soft value.
"""

from __future__ import annotations

import numpy as np

from iq_acme.tabular import mdp as mdp_lib


def soft_advantage(logits: np.ndarray, temperature: float) -> np.ndarray:
  """Returns tau ln softmax(F / tau): F minus its soft maximum (line 227).

  Args:
    logits: F, `[..., A]`, in the unit of rewards.
    temperature: tau >= 0; 0 gives `max_advantage`.

  Returns:
    `[..., A]`.
  """
  return logits - mdp_lib.log_sum_exp(logits, temperature)[..., None]


def max_advantage(logits: np.ndarray) -> np.ndarray:
  """Returns the advantage of dueling with max: F minus its maximum (line 217)."""
  return logits - logits.max(axis=-1, keepdims=True)


def mean_advantage(logits: np.ndarray) -> np.ndarray:
  """Returns the advantage of dueling with mean: F minus its average (line 234)."""
  return logits - logits.mean(axis=-1, keepdims=True)


def mean_value_shortfall(logits: np.ndarray, temperature: float) -> np.ndarray:
  """Returns the soft value of mean_advantage(F): tau ln sum exp(F / tau) - mean F.

  It is at least tau ln A (Jensen), and tends to max F - mean F as tau goes to 0.

  Args:
    logits: F, `[..., A]`, in the unit of rewards.
    temperature: tau >= 0.

  Returns:
    `[...]`.
  """
  return mdp_lib.log_sum_exp(logits, temperature) - logits.mean(axis=-1)
