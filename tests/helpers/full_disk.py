"""A disk that takes no more, without being root."""

import contextlib
import resource


@contextlib.contextmanager
def full_disk(num_bytes):
  """Lets no file of this process grow beyond so many bytes."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
