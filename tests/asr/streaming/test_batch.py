"""Many recordings through few streams: each gets its own words, and errors stay with their recording."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from asr.errors import AsrError
from asr.streaming.batch import recognise_all
from asr.streaming.recognizer import Recognizer
from asr.transcript import Transcript


def source(samples: np.ndarray, part: int = 5000) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: iter([samples[i : i + part] for i in range(0, len(samples), part)])


def test_every_recording_gets_its_own_words(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    lengths = {"a": 3.0, "b": 0.4, "c": 5.7, "d": 1.28, "e": 2.2, "f": 4.0, "g": 0.01}
    sounds = {key: make_audio(seconds, seed) for seed, (key, seconds) in enumerate(lengths.items())}
    one, many = recogniser(640, 1), recogniser(640, 3)
    found = dict(recognise_all(many, ((key, source(sound)) for key, sound in sounds.items())))
    assert found.keys() == sounds.keys()
    for key, sound in sounds.items():
        alone = one.transcribe(sound)
        assert found[key].text == alone.text
        assert found[key].duration_ms == alone.duration_ms
        assert [(w.start_ms, w.end_ms) for w in found[key].words] == [(w.start_ms, w.end_ms) for w in alone.words]
    assert any(transcript.text for transcript in found.values())


def test_as_many_are_open_as_there_are_streams(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, opened, ended, most = recogniser(640, 3), [], [], 0

    def sources() -> Iterator[tuple[int, Callable[[], Iterator[np.ndarray]]]]:
        for key in range(8):
            opened.append(key)
            yield key, source(make_audio(1.0 + key / 3, key))

    for key, _ in recognise_all(recognizer, sources()):
        most = max(most, len(opened) - len(ended))
        ended.append(key)
    assert sorted(ended) == list(range(8))
    assert most == 3
    assert len([recognizer.stream() for _ in range(3)]) == 3  # all are free again


def broken_at_once() -> Iterator[np.ndarray]:
    raise AsrError("no such recording")


def broken_later() -> Iterator[np.ndarray]:
    yield np.zeros(30_000, np.float32)
    raise AsrError("breaks off")


def not_audio() -> Iterator[np.ndarray]:
    yield np.full(20_000, np.nan, np.float32)


@pytest.mark.parametrize("streams", [1, 3])
def test_errors_stay_with_their_recording(
    recogniser: Callable[..., Recognizer], make_audio: Callable, streams: int
) -> None:
    good = make_audio(2.5, 1)

    def cannot_open() -> Iterator[np.ndarray]:
        raise AsrError("cannot open")

    sources = [
        ("x", lambda: (_ for _ in ()).throw(AsrError("never"))),
        ("a", source(good)),
        ("once", broken_at_once),
        ("later", broken_later),
        ("open", cannot_open),
        ("nan", not_audio),
        ("b", source(good)),
    ]
    found = dict(recognise_all(recogniser(640, streams), sources))
    errors = {key: str(value) for key, value in found.items() if isinstance(value, ValueError)}
    assert errors.pop("nan").startswith("expected finite samples, got NaN or infinity at 0.000 s")
    assert errors == {"x": "never", "once": "no such recording", "later": "breaks off", "open": "cannot open"}
    assert found["a"].text == found["b"].text == recogniser(640).transcribe(good).text != ""


def test_recordings_without_samples(recogniser: Callable[..., Recognizer]) -> None:
    empty = [(0, lambda: iter([])), (1, lambda: iter([np.zeros(0, np.float32)]))]
    assert dict(recognise_all(recogniser(640, 3), empty)) == {0: Transcript((), 0), 1: Transcript((), 0)}
    assert list(recognise_all(recogniser(640, 3), [])) == []


def test_progress_tells_the_audio_so_far(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    told: dict[str, list[int]] = {"a": [], "b": []}
    sources = [("a", source(make_audio(1.5, 1))), ("b", source(make_audio(0.3, 2)))]
    list(recognise_all(recogniser(640, 3), sources, lambda key, audio_ms: told[key].append(audio_ms)))
    assert told == {"a": [640, 1280, 1500], "b": [300]}
