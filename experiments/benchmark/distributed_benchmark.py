"""Times whole programs beside the local agent, and what a step costs each node.

  python -m experiments.benchmark.distributed_benchmark --num_threads=1 --json=distributed.json

Programs run one after another: local_mt and local_mp with each number of actors at one
SGD step per environment step, and one of local_mp at a small ratio, from whose learner
the costs of its transport follow. Each learns for `--warm_up_seconds` first and is then
measured for a window. Actor steps are those that have reached the ring. The busy
fraction is the part of the window that the learner did not wait for replay. CPU is of
whole processes, from the operating system. The last tables are a model, not a
measurement: see `experiments/benchmark/scaling_model.py`.

Exit status: 0, 1 if a program failed, 2 for bad input, 130 after Ctrl-C.
"""

import dataclasses
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from typing import NamedTuple

from experiments.benchmark import scaling_model
from experiments.benchmark.distributed_window import (
  StampedRows,
  Watcher,
  Window,
  WindowError,
  window_table,
)
from iq_acme import process
from iq_acme.commands import parsing
from iq_acme.storage import files
from iq_acme.training import quiet, versions

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string('env_name', 'gym:HalfCheetah-v4', 'Task.')
_define.list('num_actors', ['1', '2', '4'], 'Numbers of actors.')
_define.list('launch_types', ['local_mt', 'local_mp'], 'How programs are launched.')
_define.float('seconds', 30.0, 'Length of a window.', lower_bound=0.1)
_define.float('warm_up_seconds', 10.0, 'Learning before it.', lower_bound=0.0)
_define.integer('num_threads', None, 'Threads of the learner; unset: all cores.')
_define.integer('min_replay_size', 1_000, 'Steps before learning, in place of 10k.')
_define.float(
  'small_ratio', 1 / 32, 'SGD steps per environment step of the transport row.'
)
_define.string('json', None, 'File for everything measured and what it ran on.')

_LAUNCH_TYPES = ('local_mt', 'local_mp')
_LOG_PERIOD = 50
_VARIABLE_UPDATE_PERIOD = 10
_MODEL_ACTORS = (1, 2, 4, 10, 30, 100, 300, 1_000)


def measure_local() -> Window:
  """Times the local agent, whose thread does everything by turns."""
  from experiments.benchmark import rows

  work = rows.ROWS['default_agent'](FLAGS.env_name)
  next(work)
  work.send(FLAGS.warm_up_seconds)
  start = time.perf_counter()
  steps = work.send(FLAGS.seconds)
  seconds = time.perf_counter() - start
  work.close()
  # It has no learner that could wait; a schedule, not a limiter, keeps its ratio.
  return Window('local agent', seconds, steps, steps, None, None)


class Layout(NamedTuple):
  """A program to measure.

  Attributes:
    launch_type: 'local_mt' or 'local_mp'.
    num_actors: its actors.
    ratio: SGD steps per environment step.
  """

  launch_type: str
  num_actors: int
  ratio: float


def make_layouts() -> list[Layout]:
  """Returns the programs that the flags ask for.

  Raises:
    ValueError: for a value that makes no sense.
  """
  try:
    numbers = [int(number) for number in FLAGS.num_actors]
  except ValueError:
    numbers = []
  if not numbers or min(numbers) < 1:
    raise ValueError(
      f'num_actors is {",".join(FLAGS.num_actors)!r}; it must be numbers from 1 on, '
      'such as 1,2,4.'
    )
  for kind in FLAGS.launch_types:
    if kind not in _LAUNCH_TYPES:
      raise ValueError(
        f'launch_types has {kind!r}; they must be of {", ".join(_LAUNCH_TYPES)}.'
      )
  if not 0 < FLAGS.small_ratio < 1:
    raise ValueError(
      f'small_ratio is {FLAGS.small_ratio:g}; it must be between 0 and 1.'
    )
  layouts = [Layout(kind, n, 1.0) for kind in FLAGS.launch_types for n in numbers]
  if 'local_mp' in FLAGS.launch_types:
    layouts.append(Layout('local_mp', max(numbers), FLAGS.small_ratio))
  return layouts


def measure_program(layout: Layout) -> Window | None:
  """Times a program.

  Args:
    layout: of the program.

  Returns:
    What was measured; None if Ctrl-C came first.

  Raises:
    NodeFailedError: if a node failed.
    WindowError: if the window was too short.
  """
  from iq_acme import IQConfig, launch, make_distributed_iq, make_environment

  folder = tempfile.mkdtemp(prefix='iq_acme_benchmark_')
  config = dataclasses.replace(
    IQConfig(), min_replay_size=FLAGS.min_replay_size, log_period=_LOG_PERIOD
  )
  config = dataclasses.replace(
    config, samples_per_insert=layout.ratio * config.batch_size
  )
  never = 10**9
  program = make_distributed_iq(
    functools.partial(make_environment, FLAGS.env_name),
    config=config,
    num_actors=layout.num_actors,
    max_number_of_steps=never,
    workdir=folder,
    evaluation_period=never,
    last_evaluation=0,
    checkpoint_period=never,
    checkpoint_replay=False,
    variable_update_period=_VARIABLE_UPDATE_PERIOD,
    logger_factory=StampedRows(folder),
  )
  name = f'{layout.launch_type}, {layout.num_actors} actors' + (
    f', ratio {layout.ratio:g}' if layout.ratio != 1 else ''
  )
  watcher = Watcher(folder, name, FLAGS.warm_up_seconds, FLAGS.seconds)
  watcher.start()
  try:
    launch(program, layout.launch_type, log_dir=os.path.join(folder, 'logs'))
  finally:
    watcher.ended.set()
    watcher.join()
    shutil.rmtree(folder, ignore_errors=True)
  if watcher.error is not None:
    raise watcher.error
  return watcher.window


def node_costs(usual: Window, transport: Window) -> scaling_model.NodeCosts:
  """Returns the model's inputs, from two programs of processes at different ratios."""
  import jax

  from experiments.benchmark import tasks
  from iq_acme import IQConfig, make_networks
  from iq_acme.transitions import TransitionPacking

  _, spec = tasks.environment_and_spec(FLAGS.env_name)
  params = make_networks(spec, IQConfig()).policy.init(jax.random.PRNGKey(0))
  update_seconds, transport_seconds = scaling_model.solve_learner_costs(
    [
      (w.cpu_seconds['learner'], w.learner_steps, w.actor_steps)
      for w in (usual, transport)
    ]
  )
  return scaling_model.NodeCosts(
    actor_seconds=transport.cpu_seconds['actor'] / transport.actor_steps,
    update_seconds=update_seconds,
    transport_seconds=transport_seconds,
    replay_seconds=transport.cpu_seconds['replay'] / transport.actor_steps,
    counter_seconds=transport.cpu_seconds['counter'] / transport.actor_steps,
    transition_bytes=TransitionPacking(spec).num_bytes,
    policy_bytes=sum(leaf.nbytes for leaf in jax.tree.leaves(params)),
    variable_update_period=_VARIABLE_UPDATE_PERIOD,
  )


def _print_model(costs: scaling_model.NodeCosts) -> None:
  print('\nMeasured costs: ' + json.dumps(dataclasses.asdict(costs), indent=2))
  for ratio in (1.0, FLAGS.small_ratio):
    predictions = [scaling_model.predict(costs, n, ratio) for n in _MODEL_ACTORS]
    print(f'\nModel, {ratio:g} SGD steps per environment step:\n')
    print(scaling_model.table(predictions), flush=True)


def main() -> int:
  """Times what the flags name; returns the exit status."""
  if FLAGS.num_threads is not None:
    process.limit_threads(FLAGS.num_threads)
  with parsing.refusing(ValueError):
    layouts = make_layouts()
  quiet.quiet_logs()
  with quiet.without_reverb_lines():
    windows = [measure_local()]
  from iq_acme.distributed import NodeFailedError

  by_layout: dict[Layout, Window] = {}
  for layout in layouts:
    try:
      window = measure_program(layout)
    except (NodeFailedError, WindowError) as error:
      print(f'Stopped: {error}', file=sys.stderr)
      return 1
    if window is None:
      return 130
    by_layout[layout] = window
  windows += by_layout.values()
  print(f'\n{window_table(windows)}')
  costs = None
  if 'local_mp' in FLAGS.launch_types:
    transport = layouts[-1]
    usual = transport._replace(ratio=1.0)
    costs = node_costs(by_layout[usual], by_layout[transport])
    _print_model(costs)
  if FLAGS.json:
    files.write_json(
      FLAGS.json,
      {
        **versions.collect_versions(),
        'windows': [dataclasses.asdict(window) for window in windows],
        'costs': costs and dataclasses.asdict(costs),
      },
    )
  return 0


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
