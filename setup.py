"""Installation of iq_acme; WORKSPACE_NOTES.md says why these versions."""

import pathlib

import setuptools

# The chain that fixes everything else: dm-acme 0.4.0 requires this Launchpad, whose
# libraries are linked against TensorFlow 2.8, which in turn wants an old protobuf and
# NumPy 1. All of them are exact, so that pip has nothing to search through.
ACME = [
  'dm-acme==0.4.0',
  'dm-launchpad==0.5.0',
  'dm-reverb==0.7.0',
  'dm-sonnet==2.0.2',
  'gym==0.26.2',  # acme.wrappers imports it; our environments use gymnasium.
  'numpy>=1.26.4,<2',
  'protobuf>=3.19.6,<3.20',
  'setuptools<81',  # TensorBoard 2.8 needs its pkg_resources.
  'tensorboard==2.8.0',
  'tensorflow-cpu==2.8.4',
  'tensorflow-estimator==2.8.0',
  'trfl==1.2.0',
]

# The newest JAX for Python 3.10, and the libraries that go with it.
JAX = [
  'chex==0.1.90',
  'distrax==0.1.5',
  'dm-haiku>=0.0.14,<0.1',
  'jax==0.6.2',
  'jaxlib==0.6.2',
  'optax>=0.2.5,<0.3',
  'rlax==0.1.7',
  'scipy>=1.13,<2',
  'tensorflow-probability==0.25.0',
]

ENVIRONMENTS = [
  'dm-control>=1.0.31,<2',
  'dm-env>=1.6,<2',
  'etils[epath]>=1.9,<1.14',  # MuJoCo's; from 1.14 on it needs Python 3.11.
  'gymnasium>=1.2.3,<2',
  'gymnasium-robotics==1.4.2',
  'mujoco>=3.3.3,<4',
]

EXPERIMENTS = [
  'absl-py>=2.1',
  'imageio>=2.34',
  'imageio-ffmpeg>=0.5',
  'matplotlib>=3.8,<4',
  'tqdm>=4.66',
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
  # Launchpad is built for Python 3.10 at most, this JAX for 3.10 at least.
  python_requires='>=3.10,<3.11',
  install_requires=[*ACME, *JAX, *ENVIRONMENTS, *EXPERIMENTS],
  extras_require={
    'cuda': ['jax[cuda12]==0.6.2'],
    'dev': ['pytest>=8', 'pytest-timeout>=2.3', 'ruff>=0.9'],
  },
)
