"""Experience replay: what actors write to and the learner samples from."""

from iq_acme.replay.table import (  # noqa: F401
  RATE_LIMITERS,
  TABLE,
  WatchedIterator,
  describe_wait,
  make_adder,
  make_iterator,
  make_tables,
)
