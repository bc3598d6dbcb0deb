"""Environments of the user's own, by name: whose code is imported, and with what."""

import sys

import gymnasium
import numpy as np
import pytest

from iq_acme.environments import imports_code, make_environment

_MODULE = """
import dm_env
import gymnasium
import numpy as np
from dm_env import specs


class MyEnv(gymnasium.Env):
  metadata = {'render_modes': ['rgb_array']}
  observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
  action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

  def __init__(self, size=1.0, render_mode=None):
    if not isinstance(size, float):
      raise TypeError(f'size must be a float, got {size!r}')
    self.size, self.render_mode = size, render_mode

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return self.np_random.uniform(0, self.size, 2), {}

  def step(self, action):
    return np.full(2, self.size), 0.0, False, False, {}

  def render(self):
    return np.zeros((4, 4, 3), np.uint8)


def make_unfit():
  env = MyEnv()
  env.action_space, env.close = gymnasium.spaces.Text(2), lambda: 1 / 0
  return env


gymnasium.register('MyEnv-v0', MyEnv, max_episode_steps=5)


class Shifted(gymnasium.ObservationWrapper):
  def observation(self, observation):
    return observation + 100


def make_shifted(size=1.0):
  return Shifted(MyEnv(size))


class MyDm(dm_env.Environment):
  def __init__(self, seed):
    self._observation = np.array([seed, 0.0])

  def observation_spec(self):
    return specs.Array((2,), np.float64)

  def action_spec(self):
    return specs.BoundedArray((1,), np.float64, -1.0, 1.0)

  def reset(self):
    return dm_env.restart(self._observation)

  def step(self, action):
    return dm_env.termination(1.0, self._observation)


def make_nothing():
  return 'no environment'


def make_within():
  import iq_acme

  return iq_acme.make_environment('gym:Pendulum-v1', 0)
"""


@pytest.fixture(autouse=True)
def own_module(tmp_path, monkeypatch):
  """A module in the working folder, which is not on the path."""
  (tmp_path / 'own_tasks.py').write_text(_MODULE)
  (tmp_path / 'needy_tasks.py').write_text('import no_such_package')
  (tmp_path / 'script_tasks.py').write_text('raise SystemExit("no such flag")')
  (tmp_path / 'stale_tasks.py').write_text('from math import no_name')
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', [path for path in sys.path if path])
  yield
  gymnasium.registry.pop('MyEnv-v0', None)
  sys.modules.pop('own_tasks', None)


def starts(name, seed, **options):
  environment = make_environment(name, seed, **options)
  return np.stack([environment.reset().observation for _ in range(2)])


def test_a_package_s_environment_is_spelled_as_in_gymnasium_with_its_arguments():
  start = starts('gym:own_tasks:MyEnv-v0', 3, size=1e4)
  assert start.max() > 100
  np.testing.assert_array_equal(start, starts('gym:own_tasks:MyEnv-v0', 3, size=1e4))


def test_a_time_limit_is_ours_and_the_rest_is_the_environment_s():
  environment = make_environment(
    'gym:own_tasks:MyEnv-v0', max_episode_steps=1, size=7.0
  )
  environment.reset()
  timestep = environment.step(np.zeros(1))
  assert timestep.last()
  np.testing.assert_array_equal(timestep.observation, [7.0, 7.0])


def test_a_function_makes_a_gymnasium_environment_with_wrappers_and_a_seed():
  name = 'python:own_tasks:make_shifted'
  start = starts(name, 3, size=2.0)
  assert start.min() >= 100
  np.testing.assert_array_equal(start, starts(name, 3, size=2.0))
  assert not np.array_equal(start, starts(name, 4, size=2.0))


def test_a_class_makes_a_dm_env_environment_and_gets_the_seed_it_asks_for():
  environment = make_environment('python:own_tasks:MyDm', 5)
  np.testing.assert_array_equal(environment.reset().observation, [5.0, 0.0])
  assert environment.step(np.zeros(1)).discount == 0.0


def test_a_function_may_make_one_of_ours():
  environment = make_environment('python:own_tasks:make_within')
  assert environment.reset().observation.shape == (3,)


@pytest.mark.parametrize('name', ['gym:own_tasks:MyEnv-v0', 'python:own_tasks:MyEnv'])
def test_environments_of_one_s_own_are_drawn(name):
  environment = make_environment(name, render_mode='rgb_array')
  environment.reset()
  assert environment.render().shape == (4, 4, 3)


@pytest.mark.parametrize(
  ('name', 'options', 'message'),
  [
    ('gym:own_tasks:MyEnv-v0', {'siz': 1.0}, r"made with \{'siz': 1.0\}.*unexpected"),
    ('gym:own_tasks:MyEnv-v0', {'size': 'x'}, "size must be a float, got 'x'"),
    ('gym:own_tasks:MyEnv-v1', {}, "not in Gymnasium's registry.*'MyEnv-v0'"),
    ('gym:no_tasks:MyEnv-v0', {}, "needs the module 'no_tasks'.*PYTHONPATH"),
    ('gym:MyEnvironment-v0', {}, "'gym:my_package:MyEnv-v0'"),
    ('python:own_tasks:MyEnv', {'siz': 1.0}, r"made with \{'siz': 1.0\}.*unexpected"),
    ('python:own_tasks:make_none', {}, "has no 'make_none'"),
    ('python:own_tasks', {}, "must look like 'python:my_package.my_module:make_env'"),
    ('python:own_tasks.sub:make', {}, "needs the module 'own_tasks.sub'"),
    ('python:own_tasks.py:MyEnv', {}, "must name a module as .*, got 'own_tasks.py'"),
    ('python:./own_tasks:MyEnv', {}, "must name a module as .*, got './own_tasks'"),
    ('gym:.own_tasks:MyEnv-v0', {}, "must name a module as .*, got '.own_tasks'"),
    ('python:script_tasks:MyEnv', {}, "'script_tasks' exits .*no such flag.*__main__"),
    ('python:own_tasks:make_unfit', {}, 'action space .* must be a Box of numbers'),
    ('python:own_tasks:make_nothing', {}, "must return.*got 'no environment'"),
    (
      'python:own_tasks:make_shifted',
      {'render_mode': 'rgb_array'},
      'cannot be rendered.*a parameter render_mode',
    ),
  ],
)
def test_what_cannot_be_made_is_refused_in_one_line(name, options, message):
  with pytest.raises(ValueError, match=message) as error:
    make_environment(name, **options)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('gym:LunarLanderContinuous-v3', r'not installed.*pip install "gymnasium\[box2d\]'),
    ('python:needy_tasks:make', "not installed: No module named 'no_such_package'$"),
    ('python:stale_tasks:make', "stale_tasks:make' cannot be imported: .*'no_name'"),
  ],
)
def test_a_missing_package_is_one_line_with_what_to_install(name, message, monkeypatch):
  monkeypatch.setitem(sys.modules, 'Box2D', None)  # Whether it is installed or not.
  with pytest.raises(RuntimeError, match=message) as error:
    make_environment(name)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('module', 'name', 'install'),
  [
    ('dm_control', 'dm_control:cheetah:run', 'pip install dm_control'),
    ('gymnasium_robotics', 'adroit:door', "pip install 'gymnasium-robotics>=1.2.1"),
  ],
)
def test_a_suite_that_is_not_installed_says_what_to_install(
  module, name, install, monkeypatch
):
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(RuntimeError, match=install):
    make_environment(name)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('gym:HalfCheetah-v4', False),
    ('gym:my_namespace/MyEnv-v0', False),
    ('adroit:door', False),
    ('dm_control:cheetah:run', False),
    ('gym:own_tasks:MyEnv-v0', True),
    ('python:own_tasks:MyEnv', True),
    ('python:own_tasks', True),
    ('gym:GymV26Environment-v0', True),  # Its option names the environment.
    ('HalfCheetah-v4', False),
  ],
)
def test_tells_the_names_that_import_code(name, expected):
  assert imports_code(name) == expected
  assert 'own_tasks' not in sys.modules
