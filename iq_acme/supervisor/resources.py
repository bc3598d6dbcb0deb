"""What each node of a program on one machine may use."""

import launchpad as lp
from launchpad.nodes.python.local_multi_processing import PythonProcess

from iq_acme import process


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
    **process.thread_variables(1),
    'JAX_PLATFORMS': 'cpu',
    'CUDA_VISIBLE_DEVICES': '',
  }
  return {
    label: PythonProcess(env={} if label == 'learner' else alone)
    for label in program.groups
  }
