"""Language models over the wordpieces: their training, their files, and their step inside the beam search."""
