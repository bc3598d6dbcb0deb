"""SAC as pure functions, and Acme's own behind the agent's contracts.

`networks`, `update`, `policy_file` and `population` need no Acme; `agent`, `builder` and
`learner` are Acme's SAC, which a single run trains by.
"""
