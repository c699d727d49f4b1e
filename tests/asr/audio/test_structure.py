import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.errors import AudioError
from asr.audio.files import read_blocks
from asr.audio.structure import check_whole, declared_mp3_frames, may_be_mpeg, ogg_checksum

WavBytes = Callable[..., bytes]


def ogg_page(body: bytes, number: int = 0) -> bytes:
    lengths = bytes([255] * (len(body) // 255) + [len(body) % 255])
    header = b"OggS" + bytes(14) + struct.pack("<I", number) + bytes(4) + bytes([len(lengths)])
    page = header + lengths + body
    return page[:22] + slow_checksum(page) + page[26:]


def slow_checksum(page: bytes) -> bytes:
    """RFC 3533, section 6: polynomial 0x04c11db7, no inversions, bit by bit."""
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x04C11DB7 if remainder & 0x8000_0000 else 0)
            remainder &= 0xFFFF_FFFF
    return struct.pack("<I", remainder)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("magic", [b"RIFF", b"RIFX"])
def test_wav_that_breaks_off(tmp_path: Path, make_wav_bytes: WavBytes, magic: bytes) -> None:
    check_whole(write(tmp_path / "whole.wav", make_wav_bytes(32_000, 32_000, magic)))
    path = write(tmp_path / "cut.wav", make_wav_bytes(32_000, 20_000, magic))
    with pytest.raises(AudioError, match=r"cut\.wav: breaks off: expected 32000 bytes of samples, got 20000"):
        check_whole(path)


@pytest.mark.parametrize("declared", [0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF])
def test_wav_streamed_to_a_pipe_is_as_long_as_it_is(tmp_path: Path, make_wav_bytes: WavBytes, declared: int) -> None:
    path = write(tmp_path / "a.wav", make_wav_bytes(declared, 32_000))
    assert sum(map(len, read_blocks(path))) == 16_000


def test_wav_whose_writer_counted_the_header(tmp_path: Path, make_wav_bytes: WavBytes) -> None:
    path = write(tmp_path / "a.wav", make_wav_bytes(32_044, 32_000))
    assert sum(map(len, read_blocks(path))) == 16_000


def test_chunks_before_the_samples_are_stepped_over(tmp_path: Path, make_wav_bytes: WavBytes) -> None:
    data = make_wav_bytes(32_000, 100)
    odd = b"LIST" + struct.pack("<I", 5) + b"12345\0"
    with pytest.raises(AudioError, match="expected 32000 bytes of samples, got 100"):
        check_whole(write(tmp_path / "a.wav", data[:36] + odd + data[36:]))


@pytest.mark.parametrize("there", [500, 32_000])
def test_rf64_declares_in_64_bits(tmp_path: Path, make_wav_bytes: WavBytes, there: int) -> None:
    data = make_wav_bytes(0xFFFF_FFFF, there, b"RF64")
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 32_000 + 72, 32_000, 16_000, 0)
    path = write(tmp_path / "a.wav", data[:12] + sizes + data[12:])
    if there == 32_000:
        check_whole(path)
        return
    with pytest.raises(AudioError, match="expected 32000 bytes of samples, got 500"):
        check_whole(path)


def test_a_wav_without_samples_is_left_to_the_decoder(tmp_path: Path, make_wav_bytes: WavBytes) -> None:
    check_whole(write(tmp_path / "a.wav", make_wav_bytes(0, 0)[:36]))


def test_other_formats_pass(tmp_path: Path) -> None:
    check_whole(write(tmp_path / "a.webm", b"\x1aE\xdf\xa3" + bytes(100)))
    check_whole(write(tmp_path / "a.avi", b"RIFF\xff\0\0\0AVI data" + bytes(100)))


@pytest.mark.parametrize("length", [0, 1, 254, 255, 1_000])
def test_ogg_checksum_is_that_of_the_standard(length: int) -> None:
    page = np.random.default_rng(length).bytes(length)
    assert ogg_checksum(page) == slow_checksum(page)


def test_ogg_pages(tmp_path: Path) -> None:
    pages = [ogg_page(bytes([i]) * size, i) for i, size in enumerate((30, 0, 700, 255))]
    data, third = b"".join(pages), len(pages[0] + pages[1])
    check_whole(write(tmp_path / "a.ogg", data))
    check_whole(write(tmp_path / "a.ogg", data[: third + len(pages[2])]))  # like a live recording
    for end in (third + 3, third + 26, third + 28, third + 500, len(data) - 1):
        with pytest.raises(AudioError, match="breaks off: expected a whole Ogg page at byte"):
            check_whole(write(tmp_path / "a.ogg", data[:end]))


def test_ogg_pages_with_something_between(tmp_path: Path) -> None:
    page = ogg_page(b"abc")
    with pytest.raises(AudioError, match=f"damaged: expected an Ogg page at byte {len(page)}"):
        check_whole(write(tmp_path / "a.ogg", page + b"?" + page))


@pytest.mark.parametrize("at", [5, 24, 27, 29])
def test_ogg_page_with_one_bit_wrong(tmp_path: Path, at: int) -> None:
    page = bytearray(ogg_page(b"abcdef") + ogg_page(b"ghi"))
    page[at] ^= 0x01
    with pytest.raises(AudioError, match=r"damaged|breaks off"):
        check_whole(write(tmp_path / "a.ogg", page))


@pytest.mark.parametrize("version", [3, 4])
def test_mp3_frames_declared_behind_an_id3_tag(tmp_path: Path, version: int) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.zeros(44_100), 44_100)
    plain = declared_mp3_frames(path)
    assert plain is not None
    assert abs(plain - 44_100 / 1_152) < 3
    tag = b"ID3" + bytes([version, 0, 0, 0, 0, 7, 104]) + bytes(1_000)  # 7 · 128 + 104 = 1000
    path.write_bytes(tag + path.read_bytes())
    assert declared_mp3_frames(path) == plain


@pytest.mark.parametrize(
    "data",
    [b"", b"ID3", b"\xff\xfb\x90\xc4" + bytes(300), b"\xff\xfb\x90\xc4Xing\0\0", b"\xff\xfbInfo" + bytes(8)],
    ids=["empty", "cut tag", "untagged", "cut", "no number of frames"],
)
def test_mp3_frames_not_declared(tmp_path: Path, data: bytes) -> None:
    assert declared_mp3_frames(write(tmp_path / "a.mp3", data)) is None


@pytest.mark.parametrize(
    ("data", "expected"), [(b"ID3\4", True), (b"\xff\xfb", True), (b"\xff\x10", False), (b"\xff", False), (b"R", False)]
)
def test_what_starts_like_mpeg(tmp_path: Path, data: bytes, expected: bool) -> None:
    assert may_be_mpeg(write(tmp_path / "a", data)) is expected
