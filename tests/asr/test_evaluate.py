"""Word errors: counted after normalising both sides, by speaker; no score over less than was asked for."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.errors import AsrError
from asr.evaluate import WordErrors, evaluate, word_errors
from asr.scoring import score_manifest
from asr.streaming.recognizer import Recognizer
from data.manifest import Utterance, write_manifest


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("a b c", "a b c", WordErrors(3, 0, 0, 0)),
        ("a b c", "a x c", WordErrors(3, 1, 0, 0)),
        ("a b c", "a c", WordErrors(3, 0, 1, 0)),
        ("a b c", "a b b c", WordErrors(3, 0, 0, 1)),
        ("a b c", "", WordErrors(3, 0, 3, 0)),
        ("Don't, stop!", "don't stop", WordErrors(2, 0, 0, 0)),
    ],
)
def test_errors_are_counted_after_normalising(reference: str, hypothesis: str, errors: WordErrors) -> None:
    assert word_errors([reference], [hypothesis]) == errors


def test_the_rate_is_over_all_words() -> None:
    errors = word_errors(["a b c d e f", "a", ""], ["a b c d e f", "b b", "x"])
    assert (errors.substitutions, errors.insertions, errors.words) == (1, 2, 7)
    assert errors.wer == 3 / 7
    assert WordErrors(0, 0, 0, 3).wer == 3.0


@pytest.mark.parametrize("references", [[], [""], ["..."]])
def test_without_words_there_is_no_rate(references: list[str]) -> None:
    with pytest.raises(AsrError, match="expected references with words, got none"):
        word_errors(references, [""] * len(references))


@pytest.fixture
def utterances(tmp_path: Path, make_audio: Callable) -> list[Utterance]:
    """The longest first."""
    made = []
    for seed, seconds in enumerate((3.0, 1.5, 2.2)):
        path = tmp_path / f"{seed}.wav"
        soundfile.write(path, make_audio(seconds, seed), 16_000)
        made.append(Utterance(f"u{seed}", str(path), seconds, "ab"[seed % 2], "some words", "dev"))
    return made


def test_every_utterance_is_scored_in_the_manifests_order(
    recogniser: Callable[..., Recognizer], make_audio: Callable, utterances: list[Utterance]
) -> None:
    told: list[tuple[int, int]] = []
    silent = Utterance("x", utterances[0].audio, 3.0, "c", None, "dev")
    found = evaluate(recogniser(640, 3), [*utterances, silent], lambda *counts: told.append(counts))
    assert [key for key, _, _ in found.texts] == ["u0", "u1", "u2"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert found.utterances == 3 and found.audio_seconds == pytest.approx(6.7)
    assert found.speakers.keys() == {"a", "b"}
    assert found.errors.words == 6 == sum(errors.words for errors in found.speakers.values())
    heard = recogniser(640).transcribe(make_audio(3.0, 0)).text
    assert found.texts[0][2] == heard
    assert found.rtf == found.compute_seconds / found.audio_seconds > 0
    summary = found.summary()
    assert list(summary["speakers"]) == ["a", "b"]
    assert summary["wer"] == round(found.errors.wer, 4)


def test_a_recording_that_cannot_be_read_is_an_error(
    recogniser: Callable[..., Recognizer], utterances: list[Utterance]
) -> None:
    """The next evaluation finds all streams free."""
    recognizer = recogniser(640, 3)
    Path(utterances[1].audio).write_bytes(b"no audio")
    with pytest.raises(ValueError, match=r"1\.wav: expected audio"):
        evaluate(recognizer, utterances)
    soundfile.write(utterances[1].audio, np.zeros(16_000), 16_000)
    assert evaluate(recognizer, utterances).utterances == 3


def test_a_speaker_whose_references_have_no_words_has_no_rate(
    recogniser: Callable[..., Recognizer], utterances: list[Utterance]
) -> None:
    """What was heard of it counts as inserted all the same."""
    laughs = dataclasses.replace(utterances[0], id="laughs", speaker="c", text="...")
    found = evaluate(recogniser(640, 3), [*utterances, laughs])
    assert found.utterances == 4 and found.speakers.keys() == {"a", "b"}
    said = len(found.texts[3][2].split())
    assert found.errors.insertions == said + sum(errors.insertions for errors in found.speakers.values())


@pytest.mark.parametrize(
    ("text", "message"), [("...", "expected references with words, got none"), ("при", "u0: expected letters a to z")]
)
def test_references_are_read_before_anything_is_recognised(
    utterances: list[Utterance], text: str, message: str
) -> None:
    with pytest.raises(AsrError, match=message):
        evaluate(None, [dataclasses.replace(utterances[0], text=text)])  # type: ignore[arg-type]  # none is asked


def test_a_place_for_the_texts_is_looked_for_first(utterances: list[Utterance], tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    with pytest.raises(AsrError, match=r"expected a file in a folder that is there, .*gone is not"):
        score_manifest(tmp_path / "manifest.jsonl", None, 640, tmp_path, 1, tmp_path / "gone" / "texts.jsonl")


def test_references_are_needed(recogniser: Callable[..., Recognizer]) -> None:
    with pytest.raises(AsrError, match="expected utterances with a reference text, got none"):
        evaluate(recogniser(640, 3), [Utterance("x", "x.wav", 1.0, "c", "", "dev")])
