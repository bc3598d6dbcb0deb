"""A run from its settings to its folder, of any agent, without Acme."""
