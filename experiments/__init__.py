"""Scripts that train, evaluate and plot: flags, runs and figures, no algorithm."""
