"""Corpora, manifests, text normalisation, augmentation, batches and synthetic speech."""
