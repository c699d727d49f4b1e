"""Whether a file holds all that its own structure declares.

The decoders pass over it: libsndfile shortens a cut-off WAV or AIFF to what is there, and skips a damaged part of an
Ogg file; FFmpeg ends at a cut MP3 as at a whole one.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from asr.audio.errors import AudioError

HEADER_SLACK = 64  # bytes: some writers count the file's header into the length of its data
STREAMED = 0x7FFF_F000  # declared lengths from here on stand for "not known", as programs writing to a pipe put them
OGG_HEADER = 27  # bytes of an Ogg page before its segment table
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # each byte with its bits in reverse
MP3_TAG_WITHIN = 256  # bytes of the first MP3 frame that hold its tag, if it has one


def check_whole(path: Path) -> None:
    """Checks WAV, RF64, AIFF and Ogg files; others pass.

    A file that ends where a block of its format ends passes, too, if its header leaves the length open: recordings
    of a live stream look like that.

    Raises:
        AudioError: if the file breaks off, or its blocks do not follow each other.
    """
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] in (b"RIFF", b"RF64") and magic[8:] == b"WAVE":
            _check_chunks(path, file, "<", b"data")
        elif magic[:4] == b"RIFX" and magic[8:] == b"WAVE":
            _check_chunks(path, file, ">", b"data")
        elif magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
            _check_chunks(path, file, ">", b"SSND")
        elif magic[:4] == b"OggS":
            _check_pages(path, file)


def _check_chunks(path: Path, file: BinaryIO, order: str, wanted: bytes) -> None:
    """Walks IFF chunks from byte 12 to the wanted one, which must lie within the file."""
    size = path.stat().st_size
    declared_64 = 0
    while len(header := file.read(8)) == 8:
        name, length = header[:4], struct.unpack(f"{order}I", header[4:])[0]
        if name == wanted:
            declared = declared_64 if declared_64 and length == 0xFFFF_FFFF else length
            there = size - file.tell()
            if declared - there > HEADER_SLACK and (declared_64 or length < STREAMED):
                raise AudioError(f"{path}: breaks off: expected {declared} bytes of samples, got {there}")
            return
        if name == b"ds64":  # RF64: the lengths that 32 bits cannot hold; EBU Tech 3306, section 3
            body = file.read(length + length % 2)
            declared_64 = struct.unpack("<Q", body[8:16])[0] if len(body) >= 16 else 0
            continue
        file.seek(length + length % 2, 1)


def _check_pages(path: Path, file: BinaryIO) -> None:
    """Walks Ogg pages (RFC 3533, section 6): unbroken, undamaged, one after the other up to the file's end."""
    size, start = path.stat().st_size, 0
    file.seek(0)
    while start < size:
        header = file.read(OGG_HEADER)
        if header[:4] != b"OggS"[: len(header)]:
            raise AudioError(f"{path}: damaged: expected an Ogg page at byte {start}, got something else")
        lengths = file.read(header[26]) if len(header) == OGG_HEADER else b""
        body = file.read(sum(lengths))
        if len(header) < OGG_HEADER or len(lengths) < header[26] or len(body) < sum(lengths):
            there = size - start
            raise AudioError(f"{path}: breaks off: expected a whole Ogg page at byte {start}, got {there} bytes")
        if ogg_checksum(header[:22] + bytes(4) + header[26:] + lengths + body) != header[22:26]:
            raise AudioError(f"{path}: damaged: expected the Ogg page at byte {start} to match its checksum")
        start += OGG_HEADER + len(lengths) + len(body)


def ogg_checksum(page: bytes) -> bytes:
    """Checksum of an Ogg page whose own field is zero: zlib's CRC on reversed bits, without its inversions."""
    reversed_bits = zlib.crc32(page.translate(REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return reversed_bits.to_bytes(4, "big").translate(REVERSED)


def declared_mp3_frames(path: Path) -> int | None:
    """Number of MPEG frames that an MP3 file's Xing or Info tag declares; None without such a tag."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:  # ID3v2: a length of four times 7 bits, without its header
            start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        file.seek(start)
        frame = file.read(MP3_TAG_WITHIN)
    found = max(frame.find(b"Xing"), frame.find(b"Info"))
    if found < 0 or len(frame) < found + 12:
        return None
    flags, frames = struct.unpack(">II", frame[found + 4 : found + 12])
    return int(frames) if flags & 1 else None


def may_be_mpeg(path: Path) -> bool:
    """Whether a file starts like MPEG audio (MP3, ADTS): with an ID3 tag or a frame's sync bits."""
    with path.open("rb") as file:
        head = file.read(3)
    return head == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)
