"""What every decoder does, and which one an encoding takes."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server.audio.container import ContainerDecoder
from server.audio.errors import AudioError
from server.audio.samples import SampleDecoder
from server.wire import Encoding


class AudioDecoder(Protocol):
    """Bytes of one stream in, samples at 16 kHz out."""

    blocking: bool
    """Whether `decode` and `finish` may compute for long: then call them in a thread, one call at a time."""
    samples: int
    """Samples that came so far: whole ones at the client's rate; of a container, at 16 kHz and decoded."""
    received_bytes: int
    """Bytes that came so far."""

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """Decodes the next bytes, cut anywhere.

        Returns:
            [N] what they complete, at 16 kHz.

        Raises:
            AudioError: with a text fit for the peer, and with the samples before that place, which count as
                returned; the decoder is of no use any more.
        """

    def finish(self) -> NDArray[np.float32]:
        """No more bytes will come: [N] the rest. Raises as `decode`."""

    def realign(self) -> None:
        """The client resumes from `samples` (of a container, `received_bytes`): forgets half a sample cut off."""

    def close(self) -> None:
        """Frees what the decoder holds, at any time; harmless when called again."""


def make_decoder(encoding: Encoding, sample_rate: int | None) -> AudioDecoder:
    """The decoder for an encoding.

    Args:
        encoding: What the bytes are.
        sample_rate: Hertz; a container tells its own.

    Raises:
        AudioError: for bare samples without a rate.
    """
    if encoding is Encoding.CONTAINER:
        return ContainerDecoder()
    if sample_rate is None:
        raise AudioError(f"expected a sample rate for {encoding}, got none")
    return SampleDecoder(encoding, sample_rate)
