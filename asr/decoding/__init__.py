"""From encoder frames to labels, and from labels to words."""
