"""Audio of any accepted encoding, as it arrives, to 16 kHz mono."""

from server.audio.decoder import AudioDecoder, make_decoder
from server.audio.errors import AudioError

__all__ = ["AudioDecoder", "AudioError", "make_decoder"]
