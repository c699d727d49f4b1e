"""The offline baseline: an encoder and a decoder that attends to the whole recording (Bahdanau et al. 2015)."""
