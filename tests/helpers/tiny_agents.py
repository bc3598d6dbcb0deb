"""Agents that share a folder, and what is in their replay."""

import contextlib
from unittest import mock

import numpy as np
from tiny_environments import NumberedEnvironment, marked_networks, spec_of

from iq_acme import make_iq_agent
from iq_acme.agent.builder import IQBuilder
from iq_acme.transitions import TransitionPacking

SPEC = spec_of(NumberedEnvironment())


@contextlib.contextmanager
def agents_in(folder):
  """Yields what makes agents that share a folder, closing the last one first.

  Each has its learner's batches as an attribute.
  """
  agents, iterators = [], []
  original = IQBuilder.make_dataset_iterator

  def recorded(builder, client):
    iterators.append(original(builder, client))
    return iterators[-1]

  def close():
    if agents:
      agents.pop().close()

  def make(config, **kwargs):
    close()
    networks = marked_networks(SPEC, config)
    with mock.patch.object(IQBuilder, 'make_dataset_iterator', recorded):
      agent = make_iq_agent(
        SPEC, config=config, networks=networks, workdir=str(folder), **kwargs
      )
    agents.append(agent)
    agent.batches = iterators.pop()
    return agent

  yield make
  close()


def steps_in_replay(agent):
  """Which of their numbers the observations in replay have, found by sampling."""
  numbers = set()
  for _ in range(100):
    batch = TransitionPacking(SPEC).unpack(next(agent.batches).data)
    numbers |= {int(number) for number in np.asarray(batch.observation)[:, 1]}
  return numbers
