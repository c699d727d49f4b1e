"""Errors in a client's audio."""

import numpy as np
from numpy.typing import NDArray


class AudioError(ValueError):
    """The bytes are not the audio they should be; the text says what was expected and is fit for the peer.

    Attributes:
        samples: [N] at 16 kHz: what the decoder had not returned yet of the audio before that place.
    """

    samples: NDArray[np.float32] = np.zeros(0, np.float32)
