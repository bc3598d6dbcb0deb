"""Runs of the paper's plans, written by hand instead of trained."""

import csv
import json
import os

from experiments.paper import plans
from experiments.paper.settings import Variant

CHEETAH, HOPPER = 'gym:HalfCheetah-v4', 'gym:Hopper-v4'
RANDOM = {CHEETAH: -100.0, HOPPER: 0.0, 'adroit:door': -50.0}


def write_run(root, task, variant, returns, *, seed=0, success=False, std=0.0):
  """Writes a run's evaluations: returns at 0, 10, 20, ... steps."""
  run = plans.make_run(task, variant, seed, 1)
  folder = os.path.join(root, run.folder)
  os.makedirs(folder)
  with open(os.path.join(folder, 'config.json'), 'w') as file:
    json.dump({'env_name': task, 'algorithm': run.algorithm, 'seed': seed}, file)
  with open(os.path.join(folder, 'versions.json'), 'w') as file:
    json.dump([{'commit': f'c{seed}', 'packages': {'mujoco': '3.0'}}], file)
  steps = (len(returns) - 1) * 10
  with open(os.path.join(folder, 'summary.json'), 'w') as file:
    json.dump({'actor_steps': steps, 'finished': True}, file)
  with open(os.path.join(folder, 'eval.csv'), 'w') as file:
    file.write('actor_steps,learner_steps,steps_per_second,mode_return_mean')
    file.write(',mode_return_std')
    file.write(',mode_success' * success + '\n')
    for i, value in enumerate(returns):
      file.write(f'{10 * i},0,100,{value},{std}' + f',{i / 10}' * success + '\n')
  return folder


def write_runs(path):
  """SAC reaches 300 on HalfCheetah, 200 on Hopper; IQ ran on the first only."""
  for seed, last in enumerate((290.0, 310.0)):
    write_run(path, CHEETAH, Variant('sac'), [-100, 100, last], seed=seed)
    write_run(path, CHEETAH, Variant('m_iq'), [-100, 0, last - 200], seed=seed)
    write_run(path, HOPPER, Variant('sac'), [0, 100, 200], seed=seed)
    write_run(path, HOPPER, Variant('m_iq'), [0, 100, 50], seed=seed)
  write_run(path, CHEETAH, Variant('iq'), [-100, 100, 500, 900])
  write_run(path, CHEETAH, Variant('iq', {'temperature': 0.1}), [-100, -50, 0])


def read_rows(path):
  """The rows of a table as dicts of text."""
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def read_column(path, variant, column):
  """One column of a variant's rows, as numbers."""
  return [float(row[column]) for row in read_rows(path) if row['variant'] == variant]
