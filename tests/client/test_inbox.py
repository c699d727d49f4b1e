import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.inbox import Event, Inbox
from server.wire import Final, Partial, Timing
from tests.server.wire.finals import final_of


def partial(text: str, segment: int = 0) -> Partial:
    timing = Timing(queue_ms=0.0, compute_ms=0.0)
    return Partial(segment=segment, text=text, stable=0, audio_ms=0, timing=timing)


def drained(inbox: Inbox) -> list[Event]:
    return [inbox.get() for _ in range(len(inbox))]


@given(st.lists(st.booleans(), max_size=60))
def test_every_final_and_the_newest_partial_stay(are_final: list[bool]) -> None:
    inbox = Inbox(events=5)
    events = [final_of(i, str(i)) if is_final else partial(str(i), i) for i, is_final in enumerate(are_final)]
    for event in events:
        inbox.put(event)
    kept = drained(inbox)
    assert [e for e in kept if isinstance(e, Final)] == [e for e in events if isinstance(e, Final)]
    assert kept[-1:] == events[-1:]
    assert kept == [e for e in events if e in kept]
    assert len(kept) <= 5 + sum(are_final)


def test_a_few_events_are_all_kept() -> None:
    inbox = Inbox(events=3)
    for text in "abc":
        inbox.put(partial(text))
    assert [e.text for e in drained(inbox)] == ["a", "b", "c"]


def test_too_many_finals() -> None:
    inbox = Inbox(events=1, finals=3)
    for segment in range(3):
        inbox.put(final_of(segment, ""))
    with pytest.raises(OverflowError, match="expected events to be read, got 3 unread ones"):
        inbox.put(final_of(3, ""))
