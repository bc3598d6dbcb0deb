"""Acme's SAC learner with what a run needs: rows of metrics, checks, saving."""

from collections.abc import Mapping
from typing import Any

import acme
import jax
import numpy as np
from acme.agents.jax import sac
from acme.utils import loggers

from iq_acme import acting
from iq_acme.agent.learner import NonFiniteLossError, finite_copy

_WHAT_TO_TRY = 'Nothing has been saved since. Try a lower learning_rate.'
_LOSSES = ('critic_loss', 'actor_loss')


class SavableSACLearner(acme.Learner):
  """Acme's SAC learner, whose policy comes with whether exploration still goes on."""

  def __init__(self, learner: sac.SACLearner, metrics: 'MetricsWindow'):
    self._learner = learner
    self._metrics = metrics
    self._exploring = True

  def step(self) -> None:
    self._exploring = False
    self._learner.step()

  def end_exploration(self) -> None:
    """Lets the actor follow the policy from now on; the first `step` does so too."""
    self._exploring = False

  def get_variables(self, names: list[str]) -> list[acting.ActingVariables]:
    return [
      acting.ActingVariables(params, None, np.bool_(self._exploring))
      for params in self._learner.get_variables(names)
    ]

  @property
  def state(self) -> Any:
    """The training state as it is, on the device."""
    return self._learner.save()

  def save(self) -> Any:
    """Returns the training state as numpy arrays.

    Raises:
      NonFiniteLossError: if the state is spoiled and not worth keeping.
    """
    self._metrics.check_finite()
    return finite_copy(self._learner.save(), f' (SAC). {_WHAT_TO_TRY}')

  def restore(self, state: Any) -> None:
    self._learner.restore(jax.device_put(state))


class MetricsWindow:
  """An Acme logger that passes on the means of a period's metrics, and checks them."""

  def __init__(self, logger: loggers.Logger | None, period: int):
    self._logger = logger
    self._period = period
    # On the device: reading them at every step would make it wait.
    self._unread: list[Mapping[str, Any]] = []

  def write(self, data: Mapping[str, Any]) -> None:
    """Takes the metrics and counts of one SGD step."""
    self._unread.append(data)
    if len(self._unread) < self._period:
      return
    rows = self.check_finite()
    self._unread = []
    if self._logger is not None:
      counts = {
        name: data.get(name, 0)  # Offline there are no actor steps.
        for name in ('learner_steps', 'learner_walltime', 'actor_steps')
      }
      metrics = {
        name: float(np.mean([row[name] for row in rows]))
        for name in rows[0]
        if name not in counts
      }
      self._logger.write({**metrics, **counts})

  def close(self) -> None:
    """Does nothing; whoever made the logger closes it."""

  def check_finite(self) -> list[Mapping[str, Any]]:
    """Returns the metrics since the last row.

    Raises:
      NonFiniteLossError: naming the loss and the step.
    """
    rows = jax.device_get(self._unread)
    for row in rows:
      for name in _LOSSES:
        if not np.isfinite(row[name]):
          raise NonFiniteLossError(
            f'SAC: {name} became {row[name]} at SGD step {row["learner_steps"]}. '
            f'{_WHAT_TO_TRY}'
          )
    return rows
