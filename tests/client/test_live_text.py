import io

from rich.console import Console

from client.inbox import Event
from client.live_text import LiveText
from server.wire import Partial, Timing
from tests.server.wire.finals import final_of


def partial(text: str, stable: int, segment: int = 0) -> Partial:
    timing = Timing(queue_ms=0.0, compute_ms=0.0)
    return Partial(segment=segment, text=text, stable=stable, audio_ms=0, timing=timing)


def drawn(text: LiveText, width: int = 40, height: int = 10) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(text)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def settled(text: LiveText) -> str:
    """What is bold on a terminal."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    return "".join(s.text for s in console.render(text.line()) if s.style and s.style.bold).rstrip("\n")


def live(*events: Event) -> LiveText:
    text = LiveText()
    for event in events:
        text.take(event)
    return text


def test_settled_words_are_bold() -> None:
    text = live(final_of(0, "one two"), partial("three four", 5, segment=1))
    assert text.line().plain == "one two three four"
    assert settled(text).split() == ["one", "two", "three"]


def test_a_partial_gives_way_to_the_next_and_to_its_final() -> None:
    text = live(partial("wan", 0), partial("one", 0))
    assert text.line().plain == "one"
    assert settled(text) == ""
    text.take(final_of(0, "one"))
    assert (text.line().plain, text.transcript) == ("one", "one")


def test_a_final_without_text_leaves_no_line() -> None:
    text = live(partial("uh", 0), final_of(0, ""), final_of(1, text="yes"))
    assert text.transcript == "yes"


def test_only_the_newest_lines_are_drawn() -> None:
    text = live(*(final_of(n, f"segment number {n}") for n in range(90)))
    lines = drawn(text, width=40, height=5)
    assert len(lines) == 4
    assert lines[-2].endswith("segment number 89")
    assert len(text.transcript.splitlines()) == 90


def test_the_level_is_drawn() -> None:
    text = live()
    text.level = -30.0
    assert drawn(text)[-1] == "🎤 ████████████············  -30 dB"


def test_a_lost_connection_is_told() -> None:
    text = LiveText(lambda: False)
    assert drawn(text, width=80)[-1].endswith("connection lost, coming back …")
