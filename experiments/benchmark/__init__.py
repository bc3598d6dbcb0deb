"""Speed and memory of the agent and its parts."""
