"""Agents that share a folder, and what is in their replay."""

import contextlib

import numpy as np
from tiny_environments import NumberedEnvironment, marked_networks, spec_of

from iq_acme import make_iq_agent
from iq_acme.replay import TransitionPacking

SPEC = spec_of(NumberedEnvironment())


@contextlib.contextmanager
def agents_in(folder):
  """Yields what makes agents that share a folder, closing the last one first."""
  agents = []

  def close():
    if agents:
      agents.pop().close()

  def make(config, **kwargs):
    close()
    networks = marked_networks(SPEC, config)
    agents.append(
      make_iq_agent(
        SPEC, config=config, networks=networks, workdir=str(folder), **kwargs
      )
    )
    return agents[-1]

  yield make
  close()


def steps_in_replay(agent):
  """Which of their numbers the observations in replay have, found by sampling."""
  numbers = set()
  for _ in range(100):
    batch = TransitionPacking(SPEC).unpack(next(agent.learner._iterator).data)
    numbers |= {int(number) for number in np.asarray(batch.observation)[:, 1]}
  return numbers
