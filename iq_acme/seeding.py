"""Seeds of the parts of a run, all derived from the run's one seed."""

import numpy as np

_PURPOSES = ('training', 'evaluation')


def derive_seeds(run_seed: int, purpose: str, index: int, count: int) -> list[int]:
  """Returns seeds that differ between runs, purposes and indices.

  Args:
    run_seed: the seed of the run, at least 0.
    purpose: 'training' or 'evaluation'.
    index: which one of its kind, at least 0; the runner passes the actor step, so
      that an evaluation at a step is the same one whatever came between, and a
      resumed run does not replay the episodes it began with.
    count: how many seeds.

  Returns:
    `count` integers in [0, 2**31), a range that every environment accepts.
  """
  key = (_PURPOSES.index(purpose), index)
  sequence = np.random.SeedSequence(run_seed, spawn_key=key)
  return [int(word) >> 1 for word in sequence.generate_state(count)]
