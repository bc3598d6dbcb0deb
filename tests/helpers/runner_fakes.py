"""A task and an agent that make a whole run take a moment, also as a script."""

import argparse
import ctypes
import json
import os
import sys
import time

import dm_env
import numpy as np
from dm_env import specs
from repository import ROOT

sys.path.insert(0, str(ROOT))

EPISODE_LENGTH = 7  # No divisor of any period here: evaluations fall within episodes.


class Task(dm_env.Environment):
  """Pays each action as its reward; succeeds if the seed is even."""

  def __init__(self, seed, on_step=lambda: None):
    self.seed = seed
    self.closed = False
    self._on_step = on_step
    self._t = 0

  def reset(self):
    self._t = 0
    return dm_env.restart(np.zeros(2, np.float32))

  def step(self, action):
    self._on_step()
    self._t += 1
    if self._t == EPISODE_LENGTH:
      return dm_env.termination(float(action), np.ones(2, np.float32))
    return dm_env.transition(float(action), np.ones(2, np.float32))

  def observation_spec(self):
    return specs.Array((2,), np.float32)

  def action_spec(self):
    return specs.BoundedArray((), np.float32, -1.0, 1.0)

  def episode_metrics(self):
    return {'success': float(self.seed % 2 == 0)}

  def close(self):
    self.closed = True


class FixedActor:
  def __init__(self, action):
    self._action = action

  def select_action(self, observation):
    return self._action

  def observe_first(self, timestep):
    pass

  def observe(self, action, next_timestep):
    pass


class Agent(FixedActor):
  """Acts by its number of updates; a checkpoint is of one small JSON file."""

  learning_starts = 10

  def __init__(
    self,
    environment,
    workdir,
    logger,
    *,
    raise_at=None,
    raise_in_learning_at=None,
    before_save=None,
  ):
    super().__init__(0.0)
    self.actor_steps = self.learner_steps = 0
    self.restored_from = None
    from iq_acme.storage.checkpoints import CheckpointStore

    self._checkpoints = CheckpointStore(os.path.join(workdir, 'checkpoints'), keep=3)
    self._logger = logger
    self._raise_at = raise_at or {}
    self._raise_in_learning_at = raise_in_learning_at or {}
    self._before_save = before_save or (lambda: None)
    if latest := self._checkpoints.latest():
      self.restored_from = latest.path
      with open(os.path.join(latest.path, 'steps.json')) as file:
        self.actor_steps, self.learner_steps = json.load(file)

  def observe(self, action, next_timestep):
    self.actor_steps += 1
    if self.actor_steps in self._raise_at:
      raise self._raise_at[self.actor_steps]

  def update(self):
    if self.actor_steps > self.learning_starts:
      self._learn()

  def learn_offline(self):
    self._learn()

  def _learn(self):
    self.learner_steps += 1
    if self.learner_steps in self._raise_in_learning_at:
      raise self._raise_in_learning_at[self.learner_steps]
    if self.learner_steps % 5 == 0:
      self._logger.write({'loss': 1.0 / self.learner_steps})

  def make_evaluation_actor(self, *, deterministic, seed):
    return FixedActor(float(self.learner_steps) if deterministic else 0.5)

  def make_critic(self):
    return None

  def save(self):
    self._before_save()

    def write(folder):
      with open(os.path.join(folder, 'steps.json'), 'w') as file:
        json.dump([self.actor_steps, self.learner_steps], file)

    return self._checkpoints.save(self.actor_steps or self.learner_steps, write)

  def save_policy(self, path, metadata):
    with open(path, 'w') as file:
      json.dump({'learner_steps': self.learner_steps, **metadata}, file)

  def close(self):
    pass


def make_settings(workdir, **changes):
  from iq_acme.training.settings import RunSettings

  values = {
    'env_name': 'fake:task',
    'algorithm': 'fake',
    'workdir': str(workdir),
    'num_steps': 50,
    'seed': 3,
    'agent_config': {'width': 4},
    'evaluation_period': 10,
    'evaluation_episodes': 2,
    'checkpoint_period': 20,
    'tensorboard': False,
  }
  return RunSettings(**{**values, **changes})


def main():
  """Runs slowly enough for another process to send signals; exits as run_iq does."""
  parser = argparse.ArgumentParser()
  parser.add_argument('workdir')
  parser.add_argument('--num_steps', type=int, default=500)
  parser.add_argument('--step_seconds', type=float, default=0.005)
  parser.add_argument('--hang_in_save', action='store_true')
  parser.add_argument('--hang_in_step', choices=['python', 'c'])
  arguments = parser.parse_args()
  from iq_acme.training import run_directory, runner

  def hang():
    if arguments.hang_in_save:
      print('hanging', flush=True)
      time.sleep(1000)

  steps = []

  def pause():
    steps.append(1)
    if len(steps) == 200 and arguments.hang_in_step == 'python':
      time.sleep(1000)
    if len(steps) == 200 and arguments.hang_in_step == 'c':  # Locked twice, as C can.
      mutex = ctypes.create_string_buffer(64)
      for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
    if arguments.step_seconds:
      time.sleep(arguments.step_seconds)

  settings = make_settings(
    arguments.workdir,
    num_steps=arguments.num_steps,
    checkpoint_period=20 if arguments.hang_in_step else 1_000_000,
    environment_patience=1,
  )
  try:
    outcome = runner.run(
      settings,
      lambda seed: Task(seed, pause),
      lambda *parts: Agent(*parts, before_save=hang),
    )
  except run_directory.RunDirectoryError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
  sys.exit(outcome.exit_status)


if __name__ == '__main__':
  main()
