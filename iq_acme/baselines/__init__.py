"""Other algorithms behind the same contracts."""
