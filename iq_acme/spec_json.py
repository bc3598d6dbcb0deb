"""Specs as something JSON can hold, and back, exactly."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np
from dm_env import specs as dm_env_specs


class NamedTupleError(ValueError):
  """A spec cannot be decoded without the class of its NamedTuple, which this names."""


def encode(spec: Any) -> Any:
  """Returns a nest of specs as something JSON can hold."""
  if isinstance(spec, Mapping):
    # JAX sorts the keys of a dict but keeps an OrderedDict's order, and the networks'
    # inputs are concatenated in that order.
    return {
      'mapping': {name: encode(leaf) for name, leaf in spec.items()},
      'ordered': isinstance(spec, collections.OrderedDict),
    }
  if isinstance(spec, (list, tuple)):
    encoded = {
      'sequence': [encode(leaf) for leaf in spec],
      'tuple': isinstance(spec, tuple),
    }
    if hasattr(spec, '_fields'):
      encoded['named_tuple'] = type(spec).__name__
    return encoded
  encoded = {'shape': list(spec.shape), 'dtype': np.dtype(spec.dtype).name}
  if isinstance(spec, dm_env_specs.BoundedArray):
    encoded['minimum'] = np.broadcast_to(spec.minimum, spec.shape).tolist()
    encoded['maximum'] = np.broadcast_to(spec.maximum, spec.shape).tolist()
  if isinstance(spec, dm_env_specs.DiscreteArray):
    encoded['num_values'] = spec.num_values
  return encoded | {'name': spec.name}


def decode(encoded: Mapping[str, Any]) -> Any:
  """Returns what `encode` was given.

  Raises:
    NamedTupleError: if a NamedTuple is in it.
  """
  if 'mapping' in encoded:
    leaves = {name: decode(leaf) for name, leaf in encoded['mapping'].items()}
    return collections.OrderedDict(leaves) if encoded['ordered'] else leaves
  if 'named_tuple' in encoded:
    raise NamedTupleError(encoded['named_tuple'])
  if 'sequence' in encoded:
    leaves = [decode(leaf) for leaf in encoded['sequence']]
    return tuple(leaves) if encoded['tuple'] else leaves
  arguments = {
    'shape': tuple(encoded['shape']),
    'dtype': encoded['dtype'],
    'name': encoded['name'],
  }
  if 'num_values' in encoded:
    return dm_env_specs.DiscreteArray(
      encoded['num_values'], encoded['dtype'], encoded['name']
    )
  if 'minimum' in encoded:
    return dm_env_specs.BoundedArray(
      minimum=encoded['minimum'], maximum=encoded['maximum'], **arguments
    )
  return dm_env_specs.Array(**arguments)
