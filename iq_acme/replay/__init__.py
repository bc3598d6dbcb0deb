"""Experience replay: what actors write to and the learner samples from.

Its rooms, from the ground up: `ring` is arrays alone, `shared_ring` adds a rate limiter
and a lock (these two load no Reverb); `adder` writes to Reverb; `table` and `resident`
are the two kinds of replay, and `consumer` takes what Reverb carries to the ring of the
second. Rows and n-step transitions are `iq_acme.transitions`.
"""
