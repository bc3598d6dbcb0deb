"""What each node of a program on one machine may use."""

import os

import launchpad as lp
from launchpad.nodes.python.local_multi_processing import PythonProcess

# Sizes of the thread pools of XLA, TensorFlow and BLAS.
_THREAD_VARIABLES = (
  'NPROC',
  'OMP_NUM_THREADS',
  'OPENBLAS_NUM_THREADS',
  'MKL_NUM_THREADS',
  'TF_NUM_INTRAOP_THREADS',
  'TF_NUM_INTEROP_THREADS',
)
_SINGLE_THREADED_XLA = '--xla_cpu_multi_thread_eigen=false'


def local_resources(program: lp.Program) -> dict[str, PythonProcess]:
  """Environments of the processes: accelerators and many threads are the learner's.

  Acting is a batch of one, for which a second thread costs more than it gives, and a
  process that has JAX look for a GPU takes most of its memory.

  Args:
    program: a program of `make_distributed_iq`, perhaps with nodes of others.

  Returns:
    For `lp.launch(..., local_resources=)`, one entry a label.
  """
  alone = {
    **dict.fromkeys(_THREAD_VARIABLES, '1'),
    'JAX_PLATFORMS': 'cpu',
    'CUDA_VISIBLE_DEVICES': '',
    'XLA_FLAGS': f'{os.environ.get("XLA_FLAGS", "")} {_SINGLE_THREADED_XLA}'.strip(),
  }
  return {
    label: PythonProcess(env={} if label == 'learner' else alone)
    for label in program.groups
  }
