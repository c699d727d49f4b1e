import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.ledger import PendingAudio

CAPACITY = 50


class Conversation(RuleBasedStateMachine):
    """A ledger, a connection that may break anywhere, and a server that must end up with every byte and flush once."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = PendingAudio(CAPACITY)
        self.given = bytearray()
        self.flushes: list[int] = []
        self.received = bytearray()  # by the server
        self.flushed: set[int] = set()  # there
        self.on_the_way: list[bytes | None] = []  # None: a flush

    @rule(data=st.binary(max_size=CAPACITY + 5))
    def add(self, data: bytes) -> None:
        if len(data) > self.ledger.room:
            with pytest.raises(ValueError, match="expected at most"):
                self.ledger.add(data)
        else:
            self.ledger.add(data)
            self.given += data

    @rule()
    def flush(self) -> None:
        self.ledger.flush()
        self.flushes.append(len(self.given))

    @rule(most=st.integers(1, CAPACITY))
    def send(self, most: int) -> None:
        if self.ledger.take_flush():
            self.on_the_way.append(None)
        elif (piece := self.ledger.next_audio(most)) is not None:
            assert 0 < len(piece) <= most
            self.on_the_way.append(piece)

    @precondition(lambda self: self.on_the_way)
    @rule()
    def arrive(self) -> None:
        frame = self.on_the_way.pop(0)
        if frame is None:
            self.flushed.add(len(self.received))
        else:
            self.received += frame

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        self.ledger.acknowledge(data.draw(st.integers(0, len(self.received))))

    @rule()
    def answer_flushes(self) -> None:
        if self.flushed:
            self.ledger.flushed(max(self.flushed))

    @rule()
    def reconnect(self) -> None:
        self.on_the_way.clear()
        self.ledger.rewind(len(self.received))

    @invariant()
    def the_server_has_the_beginning_of_what_was_given(self) -> None:
        assert self.given.startswith(self.received)
        assert self.flushed <= set(self.flushes)
        assert self.ledger.start <= self.ledger.sent <= self.ledger.end == len(self.given)
        assert self.ledger.room == CAPACITY - (len(self.given) - self.ledger.start)

    def teardown(self) -> None:
        while not self.ledger.all_sent:
            self.send(CAPACITY)
        while self.on_the_way:
            self.arrive()
        assert self.received == self.given
        assert self.flushed == set(self.flushes)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=50, stateful_step_count=40)


@given(st.binary(min_size=1, max_size=40), st.integers(1, 40))
def test_pieces_make_the_whole(audio: bytes, most: int) -> None:
    ledger = PendingAudio(40)
    ledger.add(audio)
    pieces = []
    while (piece := ledger.next_audio(most)) is not None:
        pieces.append(piece)
    assert b"".join(pieces) == audio
    assert ledger.all_sent


def test_what_was_not_sent_cannot_be_acknowledged() -> None:
    ledger = PendingAudio(10)
    ledger.add(b"abcd")
    ledger.next_audio(2)
    with pytest.raises(ValueError, match="expected at most 2 acknowledged bytes, got 3"):
        ledger.acknowledge(3)
    assert (ledger.start, ledger.room) == (0, 6)


@pytest.mark.parametrize("position", [1, 5])
def test_rewinding_to_what_is_not_kept(position: int) -> None:
    ledger = PendingAudio(10)
    ledger.add(b"abcd")
    ledger.next_audio(4)
    ledger.acknowledge(2)
    with pytest.raises(ValueError, match=f"expected from 2 to 4 received bytes, got {position}"):
        ledger.rewind(position)


def test_a_flush_stands_between_its_bytes() -> None:
    ledger = PendingAudio(10)
    ledger.add(b"ab")
    ledger.flush()
    ledger.add(b"cd")
    assert not ledger.take_flush()
    assert ledger.next_audio(9) == b"ab"
    assert ledger.next_audio(9) is None
    assert ledger.take_flush()
    assert ledger.next_audio(9) == b"cd"
    assert ledger.all_sent


def test_an_answered_flush_is_not_sent_again() -> None:
    ledger = PendingAudio(10)
    ledger.add(b"ab")
    ledger.flush()
    ledger.next_audio(9)
    assert ledger.take_flush()
    ledger.flushed(2)
    ledger.rewind(2)
    assert not ledger.take_flush()


def test_no_capacity() -> None:
    with pytest.raises(ValueError, match="got 0"):
        PendingAudio(0)
