"""Scripts that train, evaluate and plot: flags, runs and figures, no algorithm."""

import pathlib

RESULTS = pathlib.Path(__file__).resolve().parent / 'results'
