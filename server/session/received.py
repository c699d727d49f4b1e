"""How much audio came, and how much of it the client was told of."""

from server.session.ledger import SAMPLE_RATE
from server.wire import ACK_BYTES, Ack, Done

ACK_SAMPLES = SAMPLE_RATE // 2  # at 16 kHz, from one acknowledgement to the next


class Received:
    """Counts a session's audio, which is safe as soon as it came: the server keeps it until its words are final.

    A container's bytes that gave no samples yet are in the decoder, which outlives connections and workers.
    """

    def __init__(self) -> None:
        """Starts with none."""
        self.samples = 0  # at the client's rate; of a container, at 16 kHz
        self.bytes = 0
        self._heard = self._told = 0  # samples at 16 kHz: that came, that were acknowledged
        self._told_bytes = 0  # bytes that were acknowledged

    def add(self, heard: int, samples: int, received_bytes: int) -> None:
        """Adds audio.

        Args:
            heard: Samples at 16 kHz that came now.
            samples: Samples that came so far, at the client's rate.
            received_bytes: Bytes that came so far.
        """
        self._heard += heard
        self.samples, self.bytes = samples, received_bytes

    @property
    def owes_ack(self) -> bool:
        """Whether enough came for an acknowledgement."""
        return self._heard - self._told >= ACK_SAMPLES or self.bytes - self._told_bytes >= ACK_BYTES

    def ack(self, container: bool) -> Ack:
        """Acknowledges everything."""
        self._told, self._told_bytes = self._heard, self.bytes
        return Ack(samples=self.samples, bytes=self.bytes) if container else Ack(samples=self.samples)

    def done(self, segments: int, sample_rate: int | None) -> Done:
        """The totals, after this many finals; the rate is the client's, None of a container."""
        audio_ms = 1000 * self.samples // (sample_rate or SAMPLE_RATE)
        return Done(samples=self.samples, audio_ms=audio_ms, segments=segments)
