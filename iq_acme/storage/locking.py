"""A file that one process, and one user within it, holds at a time."""

import fcntl
import os
from typing import Any


class InUseError(RuntimeError):
  """Somebody else holds the lock.

  Attributes:
    holder: the process id that the lock file names.
  """

  def __init__(self, path: str, holder: str):
    super().__init__(f'{path} is locked by process {holder}.')
    self.holder = holder


class FileLock:
  """An exclusive lock on a file, which stays behind, from creation to `release`.

  The system drops the lock with the process, however that ends. A second lock of the
  same file is refused within one process too.
  """

  def __init__(self, path: str):
    """Takes the lock; the file names this process from then on.

    Args:
      path: the file, which is made where it is missing.

    Raises:
      InUseError: where somebody holds it.
    """
    self._file = open(path, 'a+')  # noqa: SIM115
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      self._file.seek(0)
      holder = self._file.read().strip()
      self._file.close()
      raise InUseError(path, holder or 'unknown') from None
    except BaseException:
      self._file.close()
      raise
    self._file.truncate(0)
    self._file.write(f'{os.getpid()}\n')
    self._file.flush()

  def release(self) -> None:
    """Lets go of the lock; idempotent."""
    self._file.close()

  def __enter__(self) -> 'FileLock':
    return self

  def __exit__(self, *exception: Any) -> None:
    self.release()
