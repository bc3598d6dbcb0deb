"""Acme's SAC behind the agent's contracts; its Acme half is loaded late."""
