"""A supervisor of processes: starts them, names what died, stops them."""
