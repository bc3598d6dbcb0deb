"""Many members, each with seed and hyperparameters of its own, trained as one program.

Needs no Acme. Its rooms, from the ground up: `algorithm` is what a population can train,
`iq` makes IQ one of these; `environment_pool` steps many environments at once; `engine`
is the program: replay rings, actions and updates of all members; `members` tells which
runs can share a program, and `runner` takes them from settings to folders.
"""
