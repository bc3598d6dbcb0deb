"""Control tasks as dm_env environments: Gymnasium, Adroit and dm_control.

`make_environment` is all that most callers need. `GymnasiumEnvironment` adapts an
environment that a caller has built itself, for example one inside Gymnasium wrappers.

This package needs dm_env, numpy and the suites only. It loads dm_control and
gymnasium-robotics when the first of their tasks is made, and never Acme, which would
bring Launchpad and TensorFlow.
"""

from iq_acme.environments.base import Environment
from iq_acme.environments.factory import make_environment
from iq_acme.environments.gymnasium_adapter import GymnasiumEnvironment

__all__ = ['Environment', 'GymnasiumEnvironment', 'make_environment']
