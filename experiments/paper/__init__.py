"""The paper's experiments: plans, runs, figures, tables."""
