"""Keeps the suites' advice to other people off the terminal, and nothing else."""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator

# What the suites say of their own tasks: regular expressions for Python's warnings.
_PYTHON_ADVICE = (
  # The version is the user's choice: scores of -v4 and -v5 cannot be compared.
  '.*is out of date',
  # Of a task's own float64 bounds.
  '.*precision lowered by casting',
  # Without a display glfw warns at import, although nothing is to be drawn.
  '.*(DISPLAY environment variable is missing|GLFW library is not initialized)',
)
# What MuJoCo says to the authors of the suites' models.
_MODEL_ADVICE = 'is deprecated and will be removed'


@contextlib.contextmanager
def making_a_task() -> Iterator[None]:
  """Drops known advice while a task is imported or made; passes on all else."""
  with warnings.catch_warnings():
    for message in _PYTHON_ADVICE:
      warnings.filterwarnings('ignore', message=message)
    yield


@contextlib.contextmanager
def loading_a_model() -> Iterator[None]:
  """Like `making_a_task`, and drops what MuJoCo says to the authors of models.

  MuJoCo would print it and append it to a file MUJOCO_LOG.TXT in the working folder.
  """
  import mujoco

  messages: list[str] = []
  previous = mujoco.get_mju_user_warning()
  mujoco.set_mju_user_warning(messages.append)
  try:
    with making_a_task():
      yield
  finally:
    mujoco.set_mju_user_warning(previous)
    for message in messages:
      if _MODEL_ADVICE not in message:
        warnings.warn(f'MuJoCo: {message}', RuntimeWarning, stacklevel=2)


@contextlib.contextmanager
def without_stderr_lines(prefix: str) -> Iterator[None]:
  """Drops the lines printed to stderr that start with `prefix`; passes on all else."""
  captured = io.StringIO()
  try:
    with contextlib.redirect_stderr(captured):
      yield
  finally:
    for line in captured.getvalue().splitlines(keepends=True):
      if not line.startswith(prefix):
        sys.stderr.write(line)
