"""A file that one process, and one user within it, holds at a time."""

import errno
import fcntl
import os
from typing import Any

from absl import logging

# What network file systems say that have no `flock`.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


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

    On a file system without locks it warns and goes on without.

    Args:
      path: the file, which is made if it is missing.

    Raises:
      InUseError: if somebody holds it.
    """
    self._file = open(path, 'a+')  # noqa: SIM115
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      self._file.seek(0)
      holder = self._file.read().strip()
      self._file.close()
      raise InUseError(path, holder or 'unknown') from None
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        self._file.close()
        raise
      logging.warning(
        'The file system of %s has no locks (%s): nothing keeps a second run out of '
        'this folder.',
        path,
        error,
      )
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
