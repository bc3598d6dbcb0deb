"""What a population does while its environments do not return."""

import time
from collections.abc import Callable

from iq_acme.process import StopSignals
from iq_acme.training.hangs import STOP_PATIENCE_SECONDS


class EnvironmentHangsError(Exception):
  """An environment does not return, and the run was told to stop."""


class Patience:
  """Says that a step takes long, and gives it up if the run was told to stop.

  Attributes:
    has_begun: whether there is anything to save; if not, giving up is Ctrl-C's.
  """

  def __init__(self, seconds: float, stop: StopSignals, say: Callable[[str], None]):
    """Starts with nothing to save.

    Args:
      seconds: in one step before a line says so, then twice as many.
      stop: the signals that ask for a stop, after which a step is soon given up.
      say: shows a line.
    """
    self.has_begun = False
    self._seconds, self._stop, self._say = seconds, stop, say
    self._quiet_until = 0.0

  def wait(self, seconds: float) -> None:
    """Is told every second how long a step has taken.

    Args:
      seconds: so far.

    Raises:
      EnvironmentHangsError: if the step is given up.
      KeyboardInterrupt: likewise, with nothing to save.
    """
    if self._stop.requested() and seconds > STOP_PATIENCE_SECONDS:
      raise EnvironmentHangsError if self.has_begun else KeyboardInterrupt
    if seconds > self._seconds and time.monotonic() > self._quiet_until:
      self._quiet_until = time.monotonic() + seconds
      self._say(f'An environment has not returned for {seconds:,.0f} s.')
