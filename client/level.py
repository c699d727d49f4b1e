"""How loud audio is."""

import numpy as np

FLOOR_DB = -60.0
"""What the meter shows as silence, in decibels of full scale."""


def level_db(audio: bytes) -> float:
    """Root mean square of 16-bit samples.

    Args:
        audio: Whole samples, little-endian.

    Returns:
        Decibels of full scale, `FLOOR_DB` to 0.
    """
    samples = np.frombuffer(audio, "<i2").astype(np.float64) / 32768  # [N]
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    return max(FLOOR_DB, 10 * float(np.log10(power))) if power > 0 else FLOOR_DB


def meter(db: float, width: int) -> str:
    """A bar of `width` characters, full at 0 decibels of full scale."""
    filled = round(width * (1 - max(FLOOR_DB, min(0.0, db)) / FLOOR_DB))
    return "█" * filled + "·" * (width - filled)
