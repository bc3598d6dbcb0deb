"""Acme's own distributed layout, in processes of Launchpad's, with parts of ours."""

import os
import subprocess
import sys

import distributed_programs

_SCRIPT = """
import sys
import iq_acme
from acme import specs
from acme.jax.layouts import distributed_layout
import launchpad as lp
from absl import app
from distributed_programs import JsonLines, TinyFactory
from tiny_environments import tiny_config
from iq_acme import acting

def main(argv):
  folder = argv[1]
  config = tiny_config(replay='table')
  factory = TinyFactory()
  spec = specs.make_environment_spec(factory(0))
  logs = JsonLines(folder)
  program = distributed_layout.DistributedLayout(
    seed=0,
    environment_factory=factory,
    network_factory=lambda spec: iq_acme.make_networks(spec, config),
    builder=iq_acme.IQBuilder(config, spec, lambda: logs('learner')),
    policy_network=acting.make_behavior_policy,
    num_actors=1,
    environment_spec=spec,
    actor_logger_fn=lambda actor_id: logs('actor'),
    max_number_of_steps=60,
    checkpointing_config=distributed_layout.CheckpointingConfig(directory=folder),
  ).build()
  lp.launch(program, lp.LaunchType.LOCAL_MULTI_PROCESSING, terminal='current_terminal')

app.run(main)
"""


def test_acmes_own_layout_trains_in_processes(tmp_path):
  here = os.path.dirname(os.path.abspath(__file__))
  paths = [here, os.path.dirname(here), os.environ.get('PYTHONPATH', '')]
  with (tmp_path / 'log.txt').open('w') as log:
    done = subprocess.run(
      [sys.executable, '-c', _SCRIPT, str(tmp_path)],
      env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))},
      stdout=log,
      stderr=subprocess.STDOUT,
      timeout=180,
      check=False,
      start_new_session=True,
    )
  said = (tmp_path / 'log.txt').read_text()[-4000:]
  assert os.path.exists(tmp_path / 'learner.jsonl'), said
  assert distributed_programs.read_rows(tmp_path, 'actor'), said
  assert done.returncode == 0, said
