"""Local agents that end with their test."""

import pytest
from tiny_environments import NumberedEnvironment, spec_of, tiny_config

import iq_acme

SPEC = spec_of(NumberedEnvironment())


@pytest.fixture
def make_agent():
  """Makes agents, and closes them after the test."""
  agents = []

  def make(spec=SPEC, **kwargs):
    kwargs.setdefault('config', tiny_config())
    agents.append(iq_acme.make_iq_agent(spec, **kwargs))
    return agents[-1]

  yield make
  for agent in agents:
    agent.close()
