"""Training: `asr train CONFIG`."""
