"""What the doctor tries, and what it advises where that fails."""

import dataclasses

REINSTALL = 'run `make install`, which installs requirements.lock'


@dataclasses.dataclass(frozen=True)
class Check:
  """One thing to try.

  Attributes:
    name: what is tried, in a few words.
    code: Python that fails where it does not work, run in a fresh process.
    environment: variables set for that process.
    required: whether training needs it; otherwise the outcome is information.
  """

  name: str
  code: str
  environment: tuple[tuple[str, str], ...] = ()
  required: bool = True


# In the order of dependence, so that the first failure is the one to look at.
CHECKS: tuple[Check, ...] = (
  Check(
    'JAX computes',
    'import jax; jax.numpy.ones(2).sum().block_until_ready();'
    'print(*(d.device_kind for d in jax.devices()))',
  ),
  Check('JAX libraries', 'import haiku, optax, distrax, rlax, chex'),
  Check('the pure half of iq_acme', 'import iq_acme.update, iq_acme.policy_io'),
  Check('TensorFlow', 'import tensorflow as tf; print(tf.__version__)'),
  Check('Reverb', 'import iq_acme.compat.acme_names, reverb'),
  Check('Courier', 'import iq_acme.compat.acme_names, courier'),
  Check('Launchpad', 'import iq_acme.compat.acme_names, launchpad'),
  Check(
    'Launchpad in a child process',
    'import iq_acme.compat.acme_names, subprocess, sys;'
    'subprocess.check_call([sys.executable, "-c", "import courier, launchpad"])',
  ),
  Check('JAX libraries beside Reverb', 'import reverb, iq_acme, distrax, rlax'),
  Check(
    'Acme',
    'import iq_acme.compat.acme_names; import acme.agents.jax.builders;'
    'import acme.jax.layouts.distributed_layout, acme.jax.savers, acme.testing.fakes',
  ),
  Check(
    'a Reverb server answers',
    'import iq_acme.compat.acme_names, reverb;'
    'table = reverb.Table("t", reverb.selectors.Fifo(), reverb.selectors.Fifo(), 1,'
    ' reverb.rate_limiters.MinSize(1));'
    'server = reverb.Server([table], port=None); client = server.localhost_client();'
    'client.insert([0], {"t": 1.0}); list(client.sample("t", num_samples=1))',
  ),
  Check('the agent', 'from iq_acme import IQBuilder, make_iq_agent'),
  Check(
    'Gymnasium tasks',
    'import gymnasium; gymnasium.make("HalfCheetah-v4").reset(seed=0)',
  ),
  Check('Adroit tasks', 'import gymnasium_robotics'),
  Check(
    'dm_control tasks',
    'from dm_control import suite; suite.load("cheetah", "run").reset()',
    environment=(('MUJOCO_GL', 'disable'),),
  ),
  Check('plots', 'import matplotlib; matplotlib.use("Agg"); import matplotlib.pyplot'),
  *(
    Check(
      f'video with MUJOCO_GL={backend}',
      'import mujoco; context = mujoco.GLContext(64, 64); context.make_current()',
      environment=(('MUJOCO_GL', backend),),
      required=False,
    )
    for backend in ('egl', 'osmesa', 'glfw')
  ),
)

# The first pattern found in what a check failed with decides what is advised.
ADVICE: tuple[tuple[str, str], ...] = (
  (
    r'libpython3\.10\.so',
    'This Python was built without the shared library that Reverb and Launchpad need. '
    'Install it (libpython3.10 on Debian), or put the folder that holds it on '
    'LD_LIBRARY_PATH, or use a Python built with --enable-shared: '
    'PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.10, then `make clean '
    'install`.',
  ),
  (
    r'undefined symbol',
    'A library was built for another version of the one it links to. Launchpad 0.5.0 '
    'and Reverb 0.7.0 are built for TensorFlow 2.8 and no other: compare the versions '
    f'above with what is wanted, and {REINSTALL}.',
  ),
  (
    r'Descriptors cannot|protobuf',
    f'TensorFlow 2.8 needs protobuf below 3.20: {REINSTALL}.',
  ),
  (
    r'numpy\.core\.multiarray failed|_ARRAY_API|compiled using NumPy 1|np\.\w+. was',
    f'TensorFlow 2.8 needs NumPy 1: {REINSTALL}.',
  ),
  (
    r'Probability requires TensorFlow',
    'TensorFlow Probability was imported after TensorFlow and before iq_acme: import '
    'iq_acme first.',
  ),
  (
    r'pkg_resources',
    f'TensorBoard 2.8 needs setuptools below 81: {REINSTALL}.',
  ),
  (
    r"(module 'jax|jax\S*' has no attribute|cannot import name .* from 'jax)",
    'This JAX is not the one that the rest was made for; where only the name is gone, '
    f'iq_acme/compat/acme_names.py is the place to add it. Otherwise {REINSTALL}.',
  ),
  (r'No module named', f'Something is not installed: {REINSTALL}.'),
  (
    r'crashed with SIGKILL',
    'The process was ended from outside, most likely for want of memory.',
  ),
  (
    r'crashed with',
    'A compiled library ended the process; mostly two of them do not fit together. '
    f'Compare the versions above with what is wanted, and {REINSTALL}.',
  ),
  (
    r'no answer within',
    'The machine may be busy or out of memory; try again when it is idle.',
  ),
)
