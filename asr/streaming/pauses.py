"""Pauses by ear: whether a stretch without words is one, and where in it recognition best starts afresh.

Who only counts words takes a word that was not recognised for a pause, and cuts it.
"""

import numpy as np
from numpy.typing import NDArray

from asr.features import HOP_SAMPLES

WINDOW_HOPS = 8  # 80 ms
PAUSE_HOPS = 24  # 240 ms, longer than the closure of a plosive
QUIETEST_DB = -80.0  # of full scale: quieter is as quiet
QUIETER_DB = 12.0  # by which a pause is quieter than the word before it
DB_PER_HOP = 0.1  # by which the pause's middle is preferred

Samples = NDArray[np.float32]


def is_quiet(speech: Samples, pause: Samples) -> bool:
    """Whether a stretch without words is much quieter somewhere than the last word.

    Args:
        speech: [n] mono at 16 kHz, from the last word's start to its end.
        pause: [m], what follows it.
    """
    loud = max(_powers(speech, WINDOW_HOPS).max(), QUIETEST_DB + QUIETER_DB)  # what can be no quieter is quiet
    return bool(_powers(pause, PAUSE_HOPS).min() <= loud - QUIETER_DB)


def quietest(samples: Samples) -> int:
    """The place, in samples, that lies in the middle of the quietest 80 ms; where all is as quiet, in the middle.

    Args:
        samples: [n] mono at 16 kHz.
    """
    powers = _powers(samples, WINDOW_HOPS)
    hops = len(samples) // HOP_SAMPLES
    if hops < WINDOW_HOPS:
        return len(samples) // 2
    places = np.arange(len(powers)) + WINDOW_HOPS / 2  # hops
    return int(places[int(np.argmin(powers + DB_PER_HOP * np.abs(places - hops / 2)))] * HOP_SAMPLES)


def _powers(samples: Samples, window: int) -> NDArray[np.float64]:
    """Power of each window of so many hops, or of all if there are fewer, in dB: at least one."""
    hops = max(1, len(samples) // HOP_SAMPLES)
    whole = samples[: hops * HOP_SAMPLES]
    square = np.square(np.pad(whole, (0, hops * HOP_SAMPLES - len(whole))), dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(square.reshape(hops, HOP_SAMPLES).mean(1))])
    size = min(window, hops)
    return 10 * np.log10(np.maximum((sums[size:] - sums[:-size]) / size, 10 ** (QUIETEST_DB / 10)))
