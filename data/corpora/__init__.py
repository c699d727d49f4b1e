"""Readers of public corpora, one file each: a folder in, utterances out."""
