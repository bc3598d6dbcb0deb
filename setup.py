"""Installation of iq_acme; WORKSPACE_NOTES.md says why these versions.

`pip install .` brings the core: policies, losses, the update, environments, evaluation,
plots, theory. `pip install '.[acme]'` adds the agent, on Python 3.10.
"""

import pathlib

import setuptools

# Launchpad's Python. On others the extra brings nothing, and the first use of the Acme
# half says so.
ACME_PYTHON = 'python_version < "3.11"'

CORE = [
  'absl-py>=2.1',
  'chex>=0.1.90,<0.2',
  # From 0.1.6 on it wants a nightly build of TensorFlow Probability.
  f'distrax>=0.1.5,<0.1.6; {ACME_PYTHON}',
  'distrax>=0.1.5,<0.2; python_version >= "3.11"',
  'dm-env>=1.6,<2',
  'dm-haiku>=0.0.14,<0.1',
  'etils[epath]>=1.9',  # MuJoCo's.
  'gymnasium>=1.2.3,<2',
  'imageio>=2.34',
  'imageio-ffmpeg>=0.5',
  'jax>=0.6.2,<0.13',
  'matplotlib>=3.8,<4',
  'mujoco>=3.3.3,<4',  # dm_control reads an attribute that 4.0 dropped.
  'numpy>=1.26.4,<3',
  'optax>=0.2.5,<0.3',
  'rlax>=0.1.7,<0.2',
  'scipy>=1.13,<2',
  'tensorboard>=2.8',
  'tqdm>=4.66',
]

# The chain that fixes everything else: dm-acme 0.4.0 requires this Launchpad, whose
# libraries are linked against TensorFlow 2.8, which in turn wants an old protobuf and
# NumPy 1. All of them are exact, so that pip has nothing to search through; JAX is the
# newest for Python 3.10, with the libraries that go with it.
ACME = [
  'chex==0.1.90',
  'cloudpickle>=2',
  'distrax==0.1.5',
  'dm-acme==0.4.0',
  'dm-launchpad==0.5.0',
  'dm-reverb==0.7.0',
  'dm-sonnet==2.0.2',
  'etils[epath]>=1.9,<1.14',  # From 1.14 on it needs Python 3.11.
  'gym==0.26.2',  # acme.wrappers imports it; our environments use gymnasium.
  'jax==0.6.2',
  'jaxlib==0.6.2',
  'numpy>=1.26.4,<2',
  'protobuf>=3.19.6,<3.20',
  'rlax==0.1.7',
  'setuptools<81',  # TensorBoard 2.8 needs its pkg_resources.
  'tensorboard==2.8.0',
  'tensorflow-cpu==2.8.4',
  'tensorflow-estimator==2.8.0',
  'tensorflow-probability==0.25.0',
  'trfl==1.2.0',
]

readme = pathlib.Path(__file__).parent / 'README.md'

setuptools.setup(
  name='iq_acme',
  version='0.1.0',
  description='Implicitly Regularized RL with Implicit Q-Values, as an Acme agent.',
  long_description=readme.read_text('utf-8') if readme.exists() else '',
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  entry_points={'console_scripts': ['iq-acme=iq_acme.__main__:console']},
  packages=setuptools.find_packages(include=['iq_acme', 'iq_acme.*']),
  python_requires='>=3.10,<3.14',
  install_requires=CORE,
  extras_require={
    'acme': [f'{requirement}; {ACME_PYTHON}' for requirement in ACME],
    'cuda': ['jax[cuda12]>=0.6.2,<0.13'],
    'dm_control': ['dm-control>=1.0.31,<2'],
    'minari': ['minari>=0.5.3,<0.6', 'h5py>=3'],  # Its datasets are HDF5 files.
    'robotics': ['gymnasium-robotics==1.4.2'],
    'dev': [
      'psutil>=5',
      'pytest>=8',
      'pytest-timeout>=2.3',
      'pytest-xdist>=3.6',
      'ruff>=0.9',
    ],
  },
)
