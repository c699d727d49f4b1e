"""What machine code on the host shares: sums of probabilities, and places in sorted rows."""

from typing import Any

import numpy as np

from asr.host_code import host_code

MISSING = -1  # no place


@host_code
def log_sum(a: Any, b: Any) -> Any:
    """Logarithm of the sum of two probabilities."""
    most, least = max(a, b), min(a, b)
    if least < most - np.float32(16.0):  # beyond single precision
        return most
    return most + np.float32(np.log1p(np.exp(least - most)))


@host_code
def place_in_row(words: Any, first: int, last: int, word: int) -> int:
    """Place of a word in a sorted row; `MISSING`: it is not there."""
    end = last
    while first < last:
        middle = (first + last) // 2
        if words[middle] < word:
            first = middle + 1
        else:
            last = middle
    return first if first < end and words[first] == word else MISSING
