"""Evaluation of a whole model: every split, chunk size and decoder, spoilt audio, word times, confidences."""
