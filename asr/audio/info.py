"""What is known of an audio file before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes:
        seconds: Length; an estimate where the format declares none (ADTS, some MP3), 0 where nothing tells.
        rate: Samples per second.
        channels: Number of channels.
        format: Container and coding, as the decoder names them.
    """

    seconds: float
    rate: int
    channels: int
    format: str
