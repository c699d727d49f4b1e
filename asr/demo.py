"""`asr demo`: the bundled recordings, transcribed live in the terminal."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from asr.audio.files import read_blocks
from asr.features import SAMPLE_RATE
from asr.streaming.events import Event, Final, Partial
from asr.streaming.recognizer import Recognizer, Stream
from data.manifest import Utterance, read_manifest

SAMPLES = Path(__file__).parent.parent / "data" / "samples" / "manifest.jsonl"
DELIVERY_SAMPLES = SAMPLE_RATE // 10  # audio arrives as from a microphone, a tenth of a second at a time


def run_demo(chunk_ms: int, model: Path | None, realtime: bool, limit: int | None) -> None:
    """Plays each recording into a stream and shows its words as they come, settled ones bold.

    Args:
        chunk_ms: Audio per step.
        model: Model folder; None: the bundled model.
        realtime: Whether audio arrives as fast as it was spoken, or as fast as it is recognised.
        limit: Recordings to play; None: all.
    """
    console = Console()
    recognizer = Recognizer(model, chunk_ms)
    started = time.perf_counter()
    recognizer.warm_up()
    console.print(f"Ready: blocks of {chunk_ms} ms, compiled in {time.perf_counter() - started:.1f} s.", style="dim")
    for utterance in read_manifest(SAMPLES)[:limit]:
        _play(recognizer, utterance, console, realtime)


def _play(recognizer: Recognizer, utterance: Utterance, console: Console, realtime: bool) -> None:
    console.print(f"\n{Path(utterance.audio).name}, {utterance.seconds:.1f} s, speaker {utterance.speaker}")
    compute = 0.0
    with recognizer.stream() as stream, Live(console=console, refresh_per_second=20, transient=True) as live:
        settled: list[str] = []
        text = Text()
        started = time.perf_counter()
        for events, seconds in _events(stream, Path(utterance.audio), started if realtime else None):
            compute += seconds
            for event in events:
                text = _shown(settled, event)
                live.update(text)
    console.print(Text("heard: ").append_text(text))
    console.print(f"said:  {utterance.text}", style="green", highlight=False)
    ratio = compute / utterance.seconds
    console.print(f"compute {1000 * compute:.0f} ms, {100 * ratio:.1f} % of the audio", style="dim", highlight=False)


def _events(stream: Stream, audio: Path, started: float | None) -> Iterator[tuple[list[Event], float]]:
    """Events as audio arrives, with the time spent on each delivery; `started` paces it in real time."""
    heard = 0
    for samples in read_blocks(audio, DELIVERY_SAMPLES):
        heard += len(samples)
        if started is not None:
            time.sleep(max(0.0, started + heard / SAMPLE_RATE - time.perf_counter()))
        before = time.perf_counter()
        events = stream.accept(samples)
        yield events, time.perf_counter() - before
    before = time.perf_counter()
    events = stream.finish_events()
    yield events, time.perf_counter() - before


def _shown(settled: list[str], event: Event) -> Text:
    """The line so far: finished segments and the stable part bold, the rest plain."""
    if isinstance(event, Final):
        settled.append(event.result.text)
        return Text(" ".join(settled), style="bold")
    assert isinstance(event, Partial)
    done = " ".join([*settled, event.text[: event.stable]]).lstrip()
    return Text(done, style="bold").append(event.text[event.stable :], style="not bold")
