"""Acme's own distributed layout with parts of ours, as Launchpad's processes get it."""

import os
import subprocess
import sys

from absl import flags
from acme.jax.layouts import distributed_layout
from distributed_programs import TinyFactory
from launchpad import context as lp_context
from launchpad.launch import serialization
from repository import HELPERS, ROOT
from tiny_environments import tiny_config

import iq_acme
from iq_acme import acting

# What Launchpad's process_entry does: it imports nothing of ours by itself.
_CHILD = """
import sys
import cloudpickle
import launchpad
assert 'iq_acme' not in sys.modules
for path in sys.argv[1:]:
  with open(path, 'rb') as file:
    assert all(map(callable, cloudpickle.load(file)))
assert 'acme.jax.layouts.distributed_layout' in sys.modules
"""


def test_nodes_of_acmes_own_layout_load_in_a_fresh_process(tmp_path):
  config = tiny_config(replay='table')
  factory = TinyFactory()
  spec = distributed_layout.specs.make_environment_spec(factory(0))
  program = distributed_layout.DistributedLayout(
    seed=0,
    environment_factory=factory,
    network_factory=lambda spec: iq_acme.make_networks(spec, config),
    builder=iq_acme.IQBuilder(config, spec),
    policy_network=acting.make_behavior_policy,
    num_actors=1,
    max_number_of_steps=60,
  ).build()
  flags.FLAGS(['test'])  # What a node is bound to is asked of flags.
  paths = []
  for label, nodes in program.groups.items():
    for node in nodes:
      node._initialize_context(lp_context.LaunchType.LOCAL_MULTI_PROCESSING, None)
      node.bind_addresses()
    paths.append(str(tmp_path / label))
    serialization.serialize_functions(paths[-1], label, [n.function for n in nodes])
  folders = [str(HELPERS), str(ROOT), os.environ.get('PYTHONPATH', '')]
  done = subprocess.run(
    [sys.executable, '-c', _CHILD, *paths],
    env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, folders))},
    capture_output=True,
    text=True,
    check=False,
  )
  assert len(paths) == 4
  assert done.returncode == 0, done.stderr
