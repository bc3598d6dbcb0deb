"""Modules and packages that a task's name asks for."""

import importlib
import os
import sys
from types import ModuleType

# How to install the suites' own packages, by the module that is missed. A module of the
# user's may come with a package of another name.
_INSTALL = {
  'dm_control': 'pip install dm_control',
  'gymnasium_robotics': "pip install 'gymnasium-robotics>=1.2.1,<1.4.3'",
}


def load(name: str, module: str) -> ModuleType:
  """Imports a module of the user's, also one of the working folder.

  Args:
    name: the task that names it, for messages.
    module: such as 'my_package.tasks'.

  Raises:
    ValueError: there is no such module, it is named as a file, or it exits.
    ModuleNotFoundError: a module that it imports is missing.
  """
  if module.startswith('.') or '/' in module or module.endswith('.py'):
    raise ValueError(
      f'name {name!r} must name a module as `import` does, such as '
      f"'my_package.my_module', got {module!r}"
    )
  if os.getcwd() not in sys.path:  # As for a script of another folder, or a child's.
    sys.path.append(os.getcwd())
  try:
    return importlib.import_module(module)
  except SystemExit as error:  # A script, which took our flags for its own.
    raise ValueError(
      f'name {name!r}: the module {module!r} exits when it is imported ({error}); what '
      "it runs as a script belongs under if __name__ == '__main__'"
    ) from error
  except ModuleNotFoundError as error:
    if error.name and not f'{module}.'.startswith(f'{error.name}.'):
      raise
    raise ValueError(
      f'name {name!r} needs the module {module!r}, which is not installed, not in the '
      'working folder and not on PYTHONPATH'
    ) from error


def missing(name: str, error: Exception) -> RuntimeError:
  """Returns the error to raise for a task that needs a package that is not there.

  Args:
    name: the task.
    error: an ImportError, or Gymnasium's own, which says what to install.
  """
  package = (getattr(error, 'name', None) or '').partition('.')[0]
  install = _INSTALL.get(package)
  hint = f'; install it with {install}' if install else ''
  # An ImportError proper is of a module that is there, but has no such name.
  what = 'needs a package that is not installed'
  what = 'cannot be imported' if type(error) is ImportError else what
  return RuntimeError(f'{name!r} {what}: {error}{hint}')
