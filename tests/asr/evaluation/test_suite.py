"""The whole report: every cell once, resumed where it stopped, and tables that say what was found."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.engine_kind import PHONETIC
from asr.errors import AsrError
from asr.evaluation import suite
from asr.evaluation.alignment import Said
from asr.evaluation.cells import CLEAN, JOINED, WORDS, Cell, Finished, plan
from asr.evaluation.report import tables
from asr.evaluation.suite import TAIL_MS, SuiteConfig, run_suite
from asr.model_folder import bundled_model
from asr.streaming.recognizer import OFFLINE_MS, Recognizer
from data.manifest import Utterance, read_manifest, write_manifest

SILENCE = np.zeros(TAIL_MS * 16, np.float32)


@pytest.fixture
def config(tmp_path: Path, model_folder: Path, make_audio: Callable) -> SuiteConfig:
    """Two splits, a folder of noise, one chunk size, greedily."""
    utterances = []
    for i, split in enumerate(("dev", "dev", "dev", "test")):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, make_audio(1.3 + i / 4, i), 16_000)
        utterances.append(Utterance(f"u{i}", str(path), 1.3 + i / 4, "ann", "the cat sat", split))
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "hum.wav", np.sin(np.arange(9_000) / 9), 16_000)
    return SuiteConfig(
        tmp_path / "manifest.jsonl",
        tmp_path / "report",
        chunks=(640,),
        beams=(1,),
        model=model_folder,
        noise=tmp_path / "noise",
        words=False,
    )


class Counting:
    """Makes recognisers, and can be told to fail at the nth."""

    def __init__(self, recogniser: Callable[..., Recognizer]) -> None:
        self.recogniser, self.asked = recogniser, []

    def __call__(self, chunk_ms: int, beam: int) -> Recognizer:
        self.asked.append((chunk_ms, beam))
        return self.recogniser(chunk_ms, 2)


def test_the_plan_keeps_cells_of_one_recogniser_together() -> None:
    cells = list(plan(["dev", "test"], [320, 640], [1, 4], ["loud"], 640))
    keys = [(c.chunk_ms, c.beam) for c in cells]
    assert list(dict.fromkeys(keys)) == [key for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    assert len(cells) == len(set(cells)) == 10
    assert [c for c in cells if c.condition] == [Cell("dev", 640, 1, "loud"), Cell("dev", 640, 4, "loud")]


def test_every_cell_is_evaluated_once_and_found_again(
    config: SuiteConfig, recogniser: Callable[..., Recognizer]
) -> None:
    making = Counting(recogniser)
    report = run_suite(config, making)
    assert making.asked == [(640, 1)]
    clean = {c["split"]: c for c in report["cells"] if c["condition"] == CLEAN}
    assert {split: c["utterances"] for split, c in clean.items()} == {"dev": 3, "test": 1}
    conditions = [c for c in report["cells"] if c["condition"]]
    assert len(conditions) == 8 and {c["split"] for c in conditions} == {"dev"}
    (whole,) = [c for c in conditions if c["condition"] == JOINED]
    assert whole["utterances"] == 1 and whole["words"] == clean["dev"]["words"] == 9
    assert json.loads((config.output / "report.json").read_text()) == report

    assert run_suite(config, making) == report
    assert making.asked == [(640, 1)]  # all was there
    (config.output / "cells" / "test-640-beam1.json").write_text("{half", encoding="utf-8")
    again = run_suite(config, making)
    assert making.asked == [(640, 1)] * 2
    assert _without_times(again) == _without_times(report)


def _without_times(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in cell.items() if k != "rtf"} for cell in report["cells"]]


def test_what_another_subject_gave_is_not_taken(tmp_path: Path) -> None:
    cell = Cell("dev", 640, 1)
    Finished(tmp_path, "one").put(cell, {"wer": 0.5})
    assert Finished(tmp_path, "one").get(cell) == {"wer": 0.5}
    assert Finished(tmp_path, "two").get(cell) is None
    assert Finished(tmp_path, "one").get(Cell("dev", 640, 1, "noise")) is None


def test_fewer_utterances_are_another_subject(config: SuiteConfig, recogniser: Callable[..., Recognizer]) -> None:
    whole = run_suite(config, Counting(recogniser))
    part = run_suite(dataclasses.replace(config, every=2), Counting(recogniser))
    assert part["subject"] != whole["subject"]
    assert [c["utterances"] for c in part["cells"][:2]] == [2, 1]


def test_other_recordings_of_the_same_names_are_another_subject(
    config: SuiteConfig, recogniser: Callable[..., Recognizer]
) -> None:
    subjects = [run_suite(config, Counting(recogniser))["subject"]]
    for path, seconds in ((config.manifest.parent / "0.wav", 1.3), (config.noise / "hum.wav", 0.7)):
        soundfile.write(path, np.cos(np.arange(round(16_000 * seconds)) / 7), 16_000)
        subjects.append(run_suite(config, Counting(recogniser))["subject"])
    assert len(set(subjects)) == 3


@pytest.mark.parametrize(("phonetic", "beams"), [(False, [1, 16]), (True, [1, 16, PHONETIC])])
def test_without_a_choice_every_decoder_that_the_model_has_is_reported(
    config: SuiteConfig,
    recogniser: Callable[..., Recognizer],
    phonetic: bool,
    beams: list[int],
) -> None:
    if phonetic:  # the bundled model's files; what recognises is the small model all the same
        config = dataclasses.replace(config, model=bundled_model())
    counting = Counting(recogniser)
    run_suite(dataclasses.replace(config, beams=()), counting)
    assert [beam for _, beam in counting.asked] == beams


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": ("dev", "gone")}, "no utterance of split 'gone' has a reference text"),
        ({"every": 0}, "every: expected 1 or more, got 0"),
        ({"chunks": ()}, "expected a chunk size or more, got none"),
        ({"chunks": (640, 500)}, "chunk_ms: expected 160, 320 or a multiple of 640 up to 20480, got 500"),
        ({"beams": (1, PHONETIC)}, "beam: expected a model with a lexicon for 0, the phonetic search; .* has none"),
    ],
)
def test_what_cannot_be_reported_is_said(config: SuiteConfig, change: dict[str, Any], message: str) -> None:
    with pytest.raises(AsrError, match=message):
        run_suite(dataclasses.replace(config, **change))


def test_words_are_measured_where_they_can_be_aligned(
    config: SuiteConfig, recogniser: Callable[..., Recognizer], make_audio: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three utterances two are transcribed as they are recognised, and one of these cannot be aligned."""
    recognizer = recogniser(640)
    texts = [recognizer.transcribe(np.append(make_audio(1.3 + i / 4, i), SILENCE)).text for i in range(2)]
    utterances = read_manifest(config.manifest)
    made = [dataclasses.replace(u, text=text) for u, text in zip(utterances, texts, strict=False)]
    write_manifest(config.manifest, [*made, *utterances[2:]])
    counts = [len(text.split()) for text in texts]
    assert all(counts)
    known = texts[0].split()

    class Aligning:
        def align(self, samples: np.ndarray, words: list[str]) -> list[Said] | None:
            return [Said(word, 100 * i, 100 * i + 100) for i, word in enumerate(words)] if words == known else None

    monkeypatch.setattr(suite, "Aligner", Aligning)
    report = run_suite(dataclasses.replace(config, words=True), Counting(recogniser))
    (found,) = [c for c in report["cells"] if c["condition"] == WORDS]
    assert found["aligned_words"] == found["matched_words"] == counts[0]
    assert found["right"] > 0 and found["start_error_ms"]["median"] is not None
    assert "## Words" in (config.output / "report.md").read_text()


def test_the_tables_compare_with_clean_audio() -> None:
    errors = {"words": 200, "substitutions": 7, "deletions": 2, "insertions": 1, "rtf": 0.0123}
    place = {"split": "dev", "chunk_ms": OFFLINE_MS}
    cells = [
        {**place, "beam": 1, "condition": CLEAN, "wer": 0.05, **errors},
        {**place, "beam": 8, "condition": CLEAN, "wer": 0.04, **errors},
        {**place, "beam": 1, "condition": "loud", "wer": 0.06, **errors},
    ]
    lines = tables({"model": "small", "every": 3, "cells": cells}).splitlines()
    assert lines[0] == "Model `small`; one utterance of 3."
    cut = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert cut[1] == ["dev", "200", "offline", "greedy", "5.0 %", "1 / 2 / 7", "0.0123"]
    assert cut[2][3:5] == ["beam of 8", "4.0 %"]
    assert cut[4] == ["loud", "dev", "offline", "greedy", "6.0 %", "1 / 2 / 7", "1.200 ×"]
