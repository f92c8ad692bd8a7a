"""Training: one loop for every family, on any number of processes."""
