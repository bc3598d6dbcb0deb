"""Says in words what is missing when MuJoCo cannot draw or its GL backend not load."""

import contextlib
import os
import sys
from collections.abc import Iterator

# The values of MUJOCO_GL with which MuJoCo and dm_control draw through glfw.
_GLFW = (None, '', 'glfw', 'on', 'enable', 'enabled', 'true', '1')


class RenderingError(RuntimeError):
  """There is nothing to draw with."""


def _gl_error(action: str, cause: BaseException) -> RenderingError:
  """Returns the error to raise when something failed for want of an OpenGL backend.

  Args:
    action: what failed, as the start of a sentence.
    cause: what the library raised.
  """
  backend = os.environ.get('MUJOCO_GL')
  if backend is None:
    now = "MUJOCO_GL is not set, so MuJoCo uses the GL backend 'glfw', which needs a display"
  else:
    now = f"MUJOCO_GL names the GL backend '{backend}'"
  return RenderingError(
    f'{action}: {type(cause).__name__}: {_text(cause)}. {now}. On a machine without a '
    "display set MUJOCO_GL=egl (needs a GPU driver's or Mesa's libEGL; on Debian: "
    "libegl1) or MUJOCO_GL=osmesa (needs Mesa's libOSMesa; on Debian: libosmesa6) "
    'before Python starts. Tasks that are not drawn need neither: unset MUJOCO_GL.'
  )


def check_backend() -> None:
  """Imports mujoco, which loads the backend that MUJOCO_GL names even to draw nothing.

  Raises:
    RenderingError: that backend cannot be loaded.
  """
  try:
    import mujoco  # noqa: F401
  except Exception as error:
    # With no backend named, loading none is no error: then mujoco itself is broken.
    if os.environ.get('MUJOCO_GL') is None:
      raise
    raise _gl_error('mujoco cannot be imported', error) from error


@contextlib.contextmanager
def by_mujoco() -> Iterator[None]:
  """Says what MuJoCo lacks if it cannot draw a frame within the block.

  Raises:
    RenderingError: there is no OpenGL backend, or no display.
  """
  try:
    _check_display()
    yield
  except ModuleNotFoundError:
    raise  # A missing Python package, not a missing backend.
  except Exception as error:
    raise _gl_error('The frame cannot be drawn', error) from error


def _check_display() -> None:
  """Checks that glfw has a display, if it is glfw that would draw a MuJoCo scene.

  Without one, glfw hands out contexts that draw nothing, and the second that MuJoCo
  is given aborts the whole process.

  Raises:
    RenderingError: there is no display.
  """
  if sys.platform != 'linux' or os.environ.get('MUJOCO_GL') not in _GLFW:
    return
  if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
    raise RenderingError('no display: neither DISPLAY nor WAYLAND_DISPLAY is set')


def _text(error: BaseException) -> str:
  # PyOpenGL's errors can fail while they describe themselves.
  try:
    return str(error).strip().rstrip('.')
  except Exception:
    return 'no description'
