"""Specs through JSON and back, those of integers as what they were."""

import json

import numpy as np
import pytest
from dm_env import specs

from iq_acme import spec_json


@pytest.mark.parametrize(
  'spec',
  [
    specs.DiscreteArray(3, np.int64, 'action'),
    specs.BoundedArray((), np.int32, 5, 7, 'start'),
    specs.BoundedArray((2, 2), np.int8, [[0, -1], [2, 3]], [[1, 1], [2, 4]]),
    specs.BoundedArray((2,), np.float32, [0.1, -1.0], [0.2, np.inf]),
    specs.Array((3,), np.float64, 'observation'),
  ],
  ids=str,
)
def test_a_spec_comes_back_as_it_was(spec):
  decoded = spec_json.decode(json.loads(json.dumps(spec_json.encode(spec))))
  assert decoded == spec and type(decoded) is type(spec)
  if isinstance(spec, specs.DiscreteArray):
    assert decoded.num_values == spec.num_values
