"""Control tasks as dm_env environments: Gymnasium, Adroit and dm_control.

`make_environment` is all that most callers need. `GymnasiumEnvironment` and
`DmEnvironment` adapt an environment that a caller has built itself, wrappers and all.

This package needs dm_env, numpy and the suites only. It loads dm_control and
gymnasium-robotics when the first of their tasks is made, and never Acme, which would
bring Launchpad and TensorFlow.
"""

from iq_acme.environments.base import Environment
from iq_acme.environments.dm_env_adapter import DmEnvironment
from iq_acme.environments.factory import imports_code, make_environment
from iq_acme.environments.gymnasium_adapter import GymnasiumEnvironment
from iq_acme.environments.observations import BadReturnError

__all__ = [
  'BadReturnError',
  'DmEnvironment',
  'Environment',
  'GymnasiumEnvironment',
  'imports_code',
  'make_environment',
]
