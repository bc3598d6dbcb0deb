"""Experience replay: what actors write to and the learner samples from.

Its rooms, from the ground up: `packing` and `ring` are arrays alone, `shared_ring` adds
a rate limiter and a lock (these three load no Reverb); `adder` writes to Reverb; `table`
and `resident` are the two kinds of replay, and `consumer` takes what Reverb carries to
the ring of the second.
"""

from iq_acme.replay.packing import TransitionPacking

__all__ = ['TransitionPacking']
