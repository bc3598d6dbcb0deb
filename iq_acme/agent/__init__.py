"""Acme's parts of the agent, and the agent in one process."""
