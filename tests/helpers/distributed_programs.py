"""A small program for tests of many processes, also as a script that takes signals."""

import ctypes
import json
import os
import sys
import threading
import time

from repository import ROOT

sys.path.insert(0, str(ROOT))

from tiny_environments import NumberedEnvironment, tiny_config

NODES = (
  'replay/0',
  'counter/0',
  'learner/0',
  'evaluator/0',
  'coordinator/0',
  'actor/0',
)


class TinyFactory:
  """Makes environments that, where a folder is given, write down what they did."""

  def __init__(self, folder=None, raise_at=None):
    self._folder = folder
    self._raise_at = raise_at

  def __call__(self, seed):
    return TinyEnvironment(seed, self._folder, self._raise_at)


class TinyEnvironment(NumberedEnvironment):
  def __init__(self, seed, folder, raise_at):
    super().__init__()
    self._seed = seed
    self._folder = folder
    self._raise_at = raise_at

  def step(self, action):
    if self.num_steps == self._raise_at:
      raise ArithmeticError('this environment has had enough')
    return super().step(action)

  def close(self):
    if self._folder and self.num_steps:
      with open(os.path.join(self._folder, f'seed_{self._seed}.json'), 'w') as file:
        json.dump([float(t[1][0]) for t in self.transitions], file)


class HangingFactory:
  """Makes environments that hang, in some nodes, in the step after so many."""

  def __init__(self, steps, keeps_lock=False):
    self._steps = steps
    self._keeps_lock = keeps_lock  # Python's own, so that no other thread can run.

  def __call__(self, seed):
    environment = TinyEnvironment(seed, None, None)
    step = environment.step
    at = self._steps.get(threading.current_thread().name)

    def hang(action):
      if environment.num_steps == at:
        ctypes.PyDLL(None).pause() if self._keeps_lock else threading.Event().wait()
      return step(action)

    if at is not None:
      environment.step = hang
    return environment


class JsonLines:
  """Makes loggers that append each row to '<label>.jsonl'."""

  def __init__(self, folder, label=None):
    self._folder = folder
    self._label = label

  def __call__(self, label):
    return JsonLines(self._folder, label)

  def write(self, row):
    with open(os.path.join(self._folder, f'{self._label}.jsonl'), 'a') as file:
      plain = {name: float(value) for name, value in row.items()}
      file.write(json.dumps(plain) + '\n')

  def close(self):
    pass


def read_rows(folder, label):
  with open(os.path.join(folder, f'{label}.jsonl')) as file:
    return [json.loads(line) for line in file]


def make_program(workdir, *, num_steps=10**6, factory=None, config=None, **settings):
  """A program whose every computation is small, logging into its workdir."""
  from iq_acme import make_distributed_iq

  os.makedirs(workdir, exist_ok=True)
  return make_distributed_iq(
    factory or TinyFactory(),
    config=config or tiny_config(replay='resident'),
    max_number_of_steps=num_steps,
    workdir=str(workdir),
    logger_factory=JsonLines(str(workdir)),
    **{
      'num_actors': 1,
      'evaluation_period': 10**6,
      'evaluation_episodes': 1,
      'checkpoint_period': 100,
      **settings,
    },
  )


def process_ids(workdir):
  """The process of each node, once it is started; see `launch`."""
  with open(os.path.join(workdir, 'logs', 'processes.json')) as file:
    return json.load(file)


def has_checkpoint(workdir):
  folder = os.path.join(workdir, 'checkpoints')
  return os.path.isdir(folder) and any(
    n.startswith('step_') for n in os.listdir(folder)
  )


def when(condition, action):
  """Does something in another thread once a condition holds."""

  def wait():
    deadline = time.monotonic() + 240
    while not condition():
      if time.monotonic() > deadline:
        return
      time.sleep(0.02)
    action()

  thread = threading.Thread(target=wait, daemon=True)
  thread.start()
  return thread


class Stranger:
  """Served by a node of Launchpad's own kind."""

  def greet(self):
    return 'hello'


def main(workdir, launch_type='local_mp', *strangers):
  """Runs a program that only a signal ends; prints what `launch` returned."""
  import launchpad as lp

  import iq_acme

  # Of this script, as in a notebook: such things travel by value.
  def factory(seed):
    environment = NumberedEnvironment()
    environment.close = lambda: None
    del seed
    return environment

  program = make_program(workdir, factory=factory)
  for label in strangers:
    program.add_node(lp.CourierNode(Stranger), label)
  print(iq_acme.launch(program, launch_type, log_dir=os.path.join(workdir, 'logs')))


if __name__ == '__main__':
  main(*sys.argv[1:])
