"""What the local agent refuses: environments, networks and settings."""

import numpy as np
import pytest
from acme import specs
from tiny_environments import Driver, NumberedEnvironment, spec_of

from iq_acme import make_networks

SPEC = spec_of(NumberedEnvironment())


def test_nan_from_the_environment_stops_the_run(make_agent):
  agent = make_agent()
  environment = NumberedEnvironment(reward_fn=lambda n: np.nan if n == 3 else 0.0)
  with pytest.raises(ValueError, match='reward that is not finite: nan'):
    Driver(environment, agent).run(10)
  assert agent.actor_steps == 3


@pytest.mark.parametrize(
  ('replaced', 'message'),
  [
    ({'actions': specs.Array((1,), np.float32)}, 'no bounds'),
    ({'actions': specs.BoundedArray((1,), bool, False, True)}, 'dtype bool'),
    ({'actions': specs.BoundedArray((1,), np.float32, 1.0, 1.0)}, r'\[1.0, 1.0\]'),
    ({'actions': specs.BoundedArray((1,), np.float32, -np.inf, 1.0)}, '-inf'),
    ({'actions': {'arm': SPEC.actions}}, 'nested'),
    ({'observations': specs.Array((8, 8, 3), np.float32)}, r'\(8, 8, 3\)'),
  ],
)
def test_environments_that_are_not_supported_are_refused(make_agent, replaced, message):
  with pytest.raises(ValueError, match=message):
    make_agent(SPEC._replace(**replaced))


def test_networks_that_were_made_without_the_config_are_refused(make_agent):
  with pytest.raises(ValueError, match=r'hidden_layer_sizes \(256, 256\).*\(8,\)'):
    make_agent(networks=make_networks(SPEC))


def test_settings_without_a_folder_are_refused(make_agent):
  with pytest.raises(ValueError, match=r'checkpoint_every .* workdir'):
    make_agent(checkpoint_every=10)
  with pytest.raises(RuntimeError, match='workdir'):
    make_agent().save()


@pytest.mark.parametrize('name', ['checkpoint_every', 'keep_checkpoints'])
def test_settings_that_make_no_sense_are_refused(make_agent, tmp_path, name):
  with pytest.raises(ValueError, match=f'{name} is 0'):
    make_agent(workdir=str(tmp_path), **{name: 0})
