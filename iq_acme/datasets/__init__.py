"""Transitions from elsewhere: files of arrays, and Minari's datasets on this disk."""

import os
import zlib
from typing import Any

import dm_env
import jax
import numpy as np

from iq_acme.datasets import minari_datasets, npz_files
from iq_acme.datasets.checks import check_arrays
from iq_acme.storage import files
from iq_acme.transitions import NStepTransitions, Transition

_MINARI = 'minari:'


def read_transitions(
  source: str, environment_spec: Any, *, n_step: int = 1, discount: float = 0.99
) -> Transition:
  """Reads the transitions that a file or a dataset holds, in its order.

  Args:
    source: the path of an npz file (its arrays are in docs/data.md), or 'minari:<id>'
      for a dataset of Minari's that lies on this disk.
    environment_spec: the environment's specs, which every array is held against.
    n_step: environment steps per transition, as those of the agent.
    discount: the agent's, within a transition of several steps.

  Returns:
    numpy arrays [N, ...] of the specs' shapes and dtypes.

  Raises:
    ValueError: if there is no such file or dataset, an array of it does not fit, or
      `n_step` is above 1 and nothing tells where episodes end.
  """
  arrays = _read(source)
  steps = check_arrays(source, arrays, environment_spec)
  if n_step == 1:
    return steps
  if npz_files.LAST not in arrays:
    raise ValueError(
      f'{source} has no array {npz_files.LAST!r} to tell where episodes end, which '
      f'transitions of n_step={n_step} steps need: add it, or use n_step=1.'
    )
  last = np.asarray(arrays[npz_files.LAST], bool)
  _check_consecutive(source, steps, last)
  return _n_step_transitions(steps, last, n_step, discount)


def fingerprint(source: str) -> dict[str, str]:
  """Returns what tells a file or a dataset from others: its name and its CRC-32.

  Args:
    source: as that of `read_transitions`.

  Raises:
    ValueError: if there is no such file or dataset.
  """
  if source.startswith(_MINARI):
    folder = minari_datasets.folder(source.removeprefix(_MINARI))
    paths = sorted(
      os.path.join(root, name) for root, _, names in os.walk(folder) for name in names
    )
    name = source
  else:
    paths, name = [npz_files.check_path(source)], os.path.basename(source)
  checksum = 0
  for path in paths:
    checksum = zlib.crc32(files.crc32(path).to_bytes(4, 'big'), checksum)
  return {'name': name, 'crc32': f'{checksum:08x}'}


def _read(source: str) -> dict[str, np.ndarray]:
  if source.startswith(_MINARI):
    return minari_datasets.read(source.removeprefix(_MINARI))
  return npz_files.read(source)


def _check_consecutive(source: str, steps: Transition, last: np.ndarray) -> None:
  """Raises if a step within an episode does not begin where the one before it ended."""
  begins, ends = (
    jax.tree.leaves(nest) for nest in (steps.observation, steps.next_observation)
  )
  for observation, next_observation in zip(begins, ends):
    differs = observation[1:] != next_observation[:-1]
    torn = differs.reshape(len(differs), -1).any(axis=1) & ~last[:-1]
    if torn.any():
      row = int(np.argmax(torn))
      raise ValueError(
        f'{source}: row {row + 1} does not begin where row {row} ended, and '
        f'{npz_files.LAST}[{row}] says that both are of one episode.'
      )


def _n_step_transitions(
  steps: Transition, last: np.ndarray, n_step: int, discount: float
) -> Transition:
  """Forms transitions of several steps as the agent's own are.

  Args:
    steps: of one step each, [N, ...], in order.
    last: which of them end an episode, bool [N]; the newest does in any case.
    n_step: environment steps per transition.
    discount: the agent's.
  """
  transitions = NStepTransitions(n_step, discount)
  made: list[list[Any]] = []
  begins = True
  for i, is_last in enumerate(last):
    step = jax.tree.map(lambda x, i=i: x[i], steps)
    if begins:
      transitions.add_first(dm_env.restart(step.observation))
    begins = bool(is_last) or i == len(last) - 1
    step_type = dm_env.StepType.LAST if begins else dm_env.StepType.MID
    time_step = dm_env.TimeStep(
      step_type, step.reward, step.discount, step.next_observation
    )
    made += map(jax.tree.leaves, transitions.add(step.action, time_step))
  leaves, structure = jax.tree.flatten(steps)
  columns = [np.asarray(x, leaf.dtype) for x, leaf in zip(zip(*made), leaves)]
  return jax.tree.unflatten(structure, columns)
