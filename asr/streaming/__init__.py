"""Streaming recognition: the compiled step, streams over its slots, and their events."""
