"""Evaluates a saved policy, and can write a video of it.

  python -m iq_acme evaluate --policy=runs/x/policy.npz --num_episodes=5

Needs neither Acme, Reverb, TensorFlow nor Launchpad. A video of MuJoCo's tasks needs a
display, or MUJOCO_GL=egl or MUJOCO_GL=osmesa.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iq_acme import seeding
from iq_acme.commands import environment_flags, parsing, policy_files
from iq_acme.datasets import npz_files
from iq_acme.datasets.recorder import Recorder
from iq_acme.environments import BadReturnError
from iq_acme.environments.rendering import RenderingError
from iq_acme.episodes import Actor, Episode, run_episodes, summarize
from iq_acme.storage import files
from iq_acme.training import quiet

if TYPE_CHECKING:
  import dm_env
  import numpy as np

  from iq_acme import LoadedPolicy

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string('policy', None, 'Policy file, such as runs/x/policy.npz.', required=True)
_define.integer('num_episodes', 5, 'Episodes.', lower_bound=1)
_define.integer('seed', 0, 'Seed of the episodes and of samples.', lower_bound=0)
_define.boolean('deterministic', True, "Act by the policy's mode, not by samples.")
_define.string('env_name', None, 'Task; unset: the one the policy was trained on.')
environment_flags.define_options(FLAGS)
_define.string('video', None, 'Video to write, such as out.mp4.')
_define.string(
  'transitions', None, 'npz file to write the transitions of the episodes to.'
)
_define.integer(
  'frames_per_second', None, "Of the video; unset: the task's own.", lower_bound=1
)

_FAILED = 1
# Of a user's own environment, anything else is shown with its traceback.
_FAILURES = (BadReturnError, FloatingPointError, RenderingError, ModuleNotFoundError)
# Those that imageio writes by itself or with the codec that it asks ffmpeg for.
_VIDEO_ENDINGS = ('.mp4', '.mov', '.mkv', '.avi', '.gif')


class PolicyActor(Actor):
  """A loaded policy as the actor of an evaluation."""

  def __init__(self, policy: 'LoadedPolicy', deterministic: bool, seed: int):
    policy.seed(seed)
    self._policy = policy
    self._deterministic = deterministic

  def select_action(self, observation: Any) -> Any:
    return self._policy(observation, deterministic=self._deterministic)


class VideoError(Exception):
  """A video that cannot be written."""


class Video:
  """A video file that appears once it is whole; opened at its first frame.

  Whatever goes wrong with it is a `VideoError`, and no error of the environment's.
  """

  def __init__(self, path: str, frames_per_second: float):
    self._path = path
    self._frames_per_second = frames_per_second
    self._stack = contextlib.ExitStack()
    self._writer: Any = None

  def append(self, frame: 'np.ndarray') -> None:
    """Adds an RGB frame, uint8 [H, W, 3]."""
    with self._naming_it():
      if self._writer is None:
        self._open()
      self._writer.append_data(frame)

  def _open(self) -> None:
    import imageio

    os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
    temporary = self._stack.enter_context(files.replacing(self._path))
    # It starts ffmpeg, which executes at once: no danger of what JAX warns of.
    warnings.filterwarnings('ignore', message='os.fork')
    self._writer = imageio.get_writer(temporary, fps=self._frames_per_second)
    self._stack.callback(self._writer.close)  # Its own context leaves ffmpeg running.

  @contextlib.contextmanager
  def _naming_it(self) -> Iterator[None]:
    try:
      yield
    except (OSError, ValueError, RuntimeError, ImportError) as error:
      raise VideoError(f'{self._path} cannot be written: {error}') from error

  def __enter__(self) -> 'Video':
    return self

  def __exit__(self, *exception: Any) -> bool | None:
    with self._naming_it() if exception[0] is None else contextlib.nullcontext():
      return self._stack.__exit__(*exception)


def main() -> int:
  """Runs the command; returns its exit status."""
  quiet.quiet_logs()
  from iq_acme import NonFiniteActionError

  with parsing.refusing(OSError, ValueError):
    _check_video()
    _check_transitions()
    policy = policy_files.read(FLAGS.policy, FLAGS.env_name)
    given = environment_flags.parse_options(FLAGS.env_option)
    name, options = policy.env_name, {**policy.env_options, **given}
  try:
    episodes = _run(policy.load, name, options)
  except (*_FAILURES, NonFiniteActionError, VideoError) as error:
    print(error, file=sys.stderr)
    return _FAILED
  _print_table(name, episodes)
  for name in ('video', 'transitions'):
    if FLAGS[name].value:
      print(f'{name}: {FLAGS[name].value}')
  return 0


def _check_video() -> None:
  if FLAGS.video and not FLAGS.video.lower().endswith(_VIDEO_ENDINGS):
    raise ValueError(
      f'video is {FLAGS.video}; it must end in one of {", ".join(_VIDEO_ENDINGS)}.'
    )
  if FLAGS.video and os.path.isdir(FLAGS.video):
    raise ValueError(f'video is {FLAGS.video}, a folder; it must be a file.')


def _check_transitions() -> None:
  path = FLAGS.transitions
  if path and (not path.endswith('.npz') or os.path.isdir(path)):
    raise ValueError(f'transitions is {path}; it must be a file that ends in .npz.')


def _run(
  load_policy: 'Callable[[dm_env.Environment], LoadedPolicy]',
  name: str,
  options: Mapping[str, Any],
) -> list[Episode]:
  from iq_acme import make_environment

  env_seed, actor_seed = seeding.derive_seeds(FLAGS.seed, 'evaluation', 0, 2)
  if FLAGS.video:
    options = {**options, 'render_mode': 'rgb_array'}
  with contextlib.ExitStack() as stack:
    with parsing.refusing(ValueError, RuntimeError):
      environment = make_environment(name, env_seed, **options)
    stack.enter_context(contextlib.closing(environment))
    with parsing.refusing(ValueError):
      policy = load_policy(environment)
    actor = PolicyActor(policy, FLAGS.deterministic, actor_seed)
    show = {}
    if FLAGS.video:
      rate = FLAGS.frames_per_second or environment.frames_per_second
      video = stack.enter_context(Video(FLAGS.video, rate))
      show = {'on_timestep': lambda: video.append(environment.render())}
    if not FLAGS.transitions:
      return run_episodes(actor, environment, FLAGS.num_episodes, **show)
    recorder = Recorder(actor)
    episodes = run_episodes(recorder, environment, FLAGS.num_episodes, **show)
    with parsing.refusing(OSError):
      npz_files.write(FLAGS.transitions, recorder.arrays())
    return episodes


def _print_table(name: str, episodes: Sequence[Episode]) -> None:
  kind = 'mode' if FLAGS.deterministic else 'sampled'
  print(f'{name}, {kind} policy, {len(episodes)} episodes, seed {FLAGS.seed}')
  for key, value in summarize(episodes).items():
    print(f'  {key:<20} {value:>12,.2f}')


def run_command(argv: Sequence[str] | None = None) -> int:
  """Runs the command with its arguments; returns the exit status."""
  return parsing.run(main, FLAGS, __doc__, argv)
