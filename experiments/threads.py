"""Limits a run to few cores, so that several runs can share a machine."""

import os


def limit_threads(num_threads: int, first_core: int | None = None) -> None:
  """Makes XLA, TensorFlow and BLAS use so many threads; call before importing them.

  Small networks gain little from a second core, so on a machine of many runs one
  core each is the best use of it.

  Args:
    num_threads: threads per pool, at least 1.
    first_core: if given, the process is also bound to `num_threads` cores from this
      one on; give runs side by side different ones.

  Raises:
    ValueError: if the cores do not exist.
  """
  for name in (
    'OMP_NUM_THREADS',
    'OPENBLAS_NUM_THREADS',
    'MKL_NUM_THREADS',
    'TF_NUM_INTRAOP_THREADS',
    'TF_NUM_INTEROP_THREADS',
    'NPROC',  # The size of XLA's own pool on the CPU.
  ):
    os.environ[name] = str(num_threads)
  if num_threads == 1:
    flags = os.environ.get('XLA_FLAGS', '')
    os.environ['XLA_FLAGS'] = f'{flags} --xla_cpu_multi_thread_eigen=false'.strip()
  if first_core is not None:
    cores = set(range(first_core, first_core + num_threads))
    usable = os.sched_getaffinity(0)
    if not cores <= usable:
      raise ValueError(f'Cores {sorted(cores)} asked for, of {sorted(usable)} usable.')
    os.sched_setaffinity(0, cores)
