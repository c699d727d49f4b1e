"""Whether the pages of an Ogg stream are whole and follow each other.

FFmpeg skips a damaged page without a word, and the audio in it is lost.
"""

import struct
import zlib

from server.audio.errors import AudioError

HEADER = 27  # bytes of a page before its segment table: RFC 3533, section 6
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # each byte with its bits in reverse


class OggPages:
    """Checks the pages as they arrive; whatever does not begin like Ogg passes.

    Attributes:
        offset: Bytes of the stream in whole pages so far: where the next one begins, or the damaged one.
    """

    def __init__(self) -> None:
        """Starts before the first page."""
        self._data = bytearray()
        self._ogg: bool | None = None  # not known yet
        self.offset = 0

    def check(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            AudioError: if a page is damaged or something else stands in its place.
        """
        if self._ogg is False:
            return
        self._data += data
        if self._ogg is None and len(self._data) >= 4:
            self._ogg = self._data.startswith(b"OggS")
        if self._ogg:
            while length := self._page():
                self.offset += length
                del self._data[:length]
        elif self._ogg is False:
            self._data.clear()

    def end(self) -> None:
        """No more bytes will come.

        Raises:
            AudioError: if the stream ends inside a page.
        """
        if self._ogg and self._data:
            raise AudioError(f"the audio breaks off: the Ogg page at byte {self.offset} is not whole")

    def _page(self) -> int:
        """Length of the first page, checked; 0 if it is not there in full."""
        data = self._data
        if not data.startswith(b"OggS"[: len(data)]):
            raise AudioError(f"the audio is damaged: expected an Ogg page at byte {self.offset}")
        if len(data) < HEADER or len(data) < HEADER + data[26]:
            return 0
        length = HEADER + data[26] + sum(data[HEADER : HEADER + data[26]])
        if len(data) < length:
            return 0
        expected = struct.unpack("<I", data[22:26])[0]
        page = bytes(data[:22]) + bytes(4) + bytes(data[26:length])
        if _checksum(page) != expected:
            raise AudioError(f"the audio is damaged: the Ogg page at byte {self.offset} does not match its checksum")
        return length


def _checksum(page: bytes) -> int:
    """CRC of a page whose own field is zero: zlib's on reversed bits, without its inversions."""
    crc = zlib.crc32(page.translate(REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(crc.to_bytes(4, "big").translate(REVERSED), "little")
