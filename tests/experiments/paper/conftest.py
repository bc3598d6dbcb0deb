"""Runs written by hand, for tests of figures and commands."""

import pytest
from written_runs import write_runs


@pytest.fixture
def root(tmp_path):
  path = str(tmp_path / 'runs')
  write_runs(path)
  return path
