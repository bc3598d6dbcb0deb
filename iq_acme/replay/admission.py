"""How far a ring's inserts and samples may drift apart: the ratio between processes."""

from typing import Any

from iq_acme.config import IQConfig
from iq_acme.replay.table import ratio_tolerance


class RatioAdmission:
  """Counts what a ring takes in and hands out, and says which of them may go on.

  It is to a resident ring what Reverb's SampleToInsertRatio is to a table: after the
  first `min_replay_size` inserts, each insert pays for `samples_per_insert` samples,
  and either side may be ahead of the other by `ratio_tolerance` samples.

  Attributes:
    inserted: transitions taken in, over all resumes.
    sampled: transitions sampled, over all resumes.
  """

  def __init__(self, config: IQConfig):
    """Starts at zero.

    Args:
      config: ratio, tolerance and the smallest replay that is sampled.
    """
    self._config = config
    self._tolerance = ratio_tolerance(config)
    self.inserted = self.sampled = 0

  @property
  def lead(self) -> float:
    """Samples that the inserts have paid for, less those taken."""
    paid = (
      self.inserted - self._config.min_replay_size
    ) * self._config.sampled_per_step
    return paid - self.sampled

  def may_insert(self, size: int) -> bool:
    """Whether a ring of so many transitions may take one more in."""
    return size < self._config.min_replay_size or self.lead <= self._tolerance

  def may_sample(self, size: int, batch_size: int) -> bool:
    """Whether a batch may be sampled from a ring of so many transitions."""
    if size < self._config.min_replay_size:
      return False
    return self.lead - batch_size >= -self._tolerance

  def state(self) -> dict[str, int]:
    """What `restore` needs, as JSON can hold it."""
    return {'inserted': self.inserted, 'sampled': self.sampled}

  def restore(self, state: dict[str, Any], size: int) -> None:
    """Goes on counting, for the ratio is to hold over the whole run.

    Args:
      state: what `state` returned.
      size: transitions in the restored ring.
    """
    self.inserted, self.sampled = state.get('inserted', 0), state.get('sampled', 0)
    # An insert that is let in at the tolerance goes beyond it by what it pays for.
    most = self._tolerance + self._config.sampled_per_step
    if not -self._tolerance <= self.lead <= most:
      # Saved under another ratio or by an older version. As if these were the first
      # inserts: a ring that was full enough still is.
      self.inserted = min(size, self._config.min_replay_size)
      self.sampled = 0

  def describe(self, size: int) -> str:
    """Says in words what a learner waits for."""
    return (
      f'transitions: the ring holds {size} of the {self._config.min_replay_size} it '
      f'takes to sample; {self.inserted} inserted and {self.sampled} sampled so far; '
      f'samples may lead by {self._tolerance:g}, and lead by {-self.lead:g}.'
    )
