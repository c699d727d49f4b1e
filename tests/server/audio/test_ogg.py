import pytest

from server.audio import AudioError
from server.audio.ogg import OggPages
from tests.server.audio.making import container, cut


@pytest.mark.parametrize("size", [1, 27, 1_000, 10**6])
def test_whole_pages_pass_however_they_are_cut(size: int) -> None:
    pages = OggPages()
    for piece in cut(container("ogg opus", seconds=0.5), size):
        pages.check(piece)
    pages.end()


def test_other_formats_pass() -> None:
    pages = OggPages()
    for piece in (b"fL", b"aC", b"OggS"):
        pages.check(piece)
    pages.end()


@pytest.mark.parametrize("place", [5, 20, 60, -1])
def test_every_changed_byte_is_noticed(place: int) -> None:
    data = bytearray(container("ogg opus", seconds=0.5))
    data[place] ^= 1
    pages = OggPages()
    with pytest.raises(AudioError, match=r"Ogg page at byte \d+ (does not match its checksum|is not whole)"):
        pages.check(bytes(data))
        pages.end()


def test_what_stands_between_pages_is_noticed() -> None:
    with pytest.raises(AudioError, match="expected an Ogg page at byte"):
        OggPages().check(container("ogg opus", seconds=0.5) + b"junk")


def test_half_a_page_at_the_end_is_noticed() -> None:
    pages = OggPages()
    pages.check(container("ogg opus", seconds=0.5)[:-1])
    with pytest.raises(AudioError, match="breaks off: the Ogg page at byte"):
        pages.end()
