"""Files that are there whole or not at all: checkpoints, trees of arrays, locks."""
