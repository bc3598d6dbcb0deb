"""Fills replay through Reverb, and says how much memory that takes.

  python -m experiments.benchmark.replay_memory --env_name=gym:Humanoid-v4 --replay=resident

Transitions are random numbers of the task's shapes, a thousand again and again. They take
the way that an agent's take, transport included, in one process.
"""

import resource
import sys
import time

from experiments.benchmark import tasks
from iq_acme.commands import parsing
from iq_acme.config import REPLAYS, IQConfig

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string('env_name', 'gym:Humanoid-v4', 'Task whose shapes are stored.')
_define.integer('num_transitions', 1_000_000, 'Transitions.', lower_bound=1_000)
_define.enum('replay', 'resident', REPLAYS, 'Which replay.')


def main() -> None:
  """Fills replay, and prints what that took."""
  _, spec = tasks.environment_and_spec(FLAGS.env_name)
  import reverb

  from iq_acme import IQBuilder
  from iq_acme.compat import loopback

  config = IQConfig(
    replay=FLAGS.replay,
    max_replay_size=FLAGS.num_transitions,
    min_replay_size=min(IQConfig.min_replay_size, FLAGS.num_transitions),
  )
  builder = IQBuilder(config, spec, rate_limiter='min_size', drain='inline')
  server = reverb.Server(builder.make_replay_tables(spec))
  loopback.confine(server.port)
  client = reverb.Client(f'localhost:{server.port}')
  adder = builder.make_adder(client)
  iterator = builder.make_dataset_iterator(client)
  empty, start = _peak_bytes(), time.perf_counter()
  tasks.fill(adder, spec, FLAGS.num_transitions)
  batch = next(iterator).data
  seconds, full = time.perf_counter() - start, _peak_bytes()
  num_bytes = builder.replay.packing.num_bytes
  print(
    f'{FLAGS.env_name}, {FLAGS.replay}: {FLAGS.num_transitions:,} transitions of '
    f'{num_bytes:,} bytes, {FLAGS.num_transitions * num_bytes / 1e9:.2f} GB, made the '
    f"process's peak memory grow from {empty / 1e9:.2f} to {full / 1e9:.2f} GB, in "
    f'{seconds:.0f} s. A batch has the shape {batch.shape}.'
  )
  if FLAGS.replay == 'resident':
    builder.replay.close_writer()
  del adder, iterator  # Before the server, which would wait for them.
  server.stop()


def _peak_bytes() -> int:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
