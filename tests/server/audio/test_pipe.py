import threading

import pytest

from server.audio.pipe import Pipe


def test_the_writer_waits_until_the_reader_wants_more() -> None:
    pipe, read = Pipe(), []

    def reader() -> None:
        while data := pipe.read(2):
            read.append(data)

    thread = threading.Thread(target=reader)
    thread.start()
    pipe.write(b"abc")
    assert read == [b"ab", b"c"]
    pipe.write(b"d")
    assert read == [b"ab", b"c", b"d"]
    pipe.end()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="expected no bytes after the end"):
        pipe.write(b"e")


def test_nobody_waits_for_a_reader_that_has_gone() -> None:
    pipe = Pipe()
    pipe.abandon()
    pipe.write(b"abc")
    pipe.end()
    assert pipe.read(3) == b""


def test_closing_drops_what_was_not_read() -> None:
    pipe = Pipe()
    writer = threading.Thread(target=pipe.write, args=(b"abc",))
    writer.start()
    assert pipe.read(1) == b"a"
    pipe.close()
    assert pipe.read(1) == b"" and pipe.closed
    pipe.abandon()
    writer.join(10)
    assert not writer.is_alive()
