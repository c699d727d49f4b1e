"""The encoder: log-mel frames in, encoder frames out, whole or in chunks."""
