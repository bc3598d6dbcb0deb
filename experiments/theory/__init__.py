"""Checks of the paper's analysis on finite MDPs."""
