"""What is called from a shell: the one room that knows all others."""
