"""Training objectives: the exact block lattice, its best path, and CTC."""
