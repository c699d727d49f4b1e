import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from data import synthesize as synthesis
from data.manifest import read_manifest
from data.programs import SynthesisError
from data.synthesize import Summary, SynthesisConfig, plan, read_sentences, synthesize
from data.voices import Voice, choose_voices

Install = Callable[..., Path]
SENTENCES = ["hello there", "how are you", "fine", "thank you very much"]
CONFIG = SynthesisConfig(count=6)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Hello there!\n\nHow are you?\nFine.\nThank you very much.\n")
    return path


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and time of change of everything in a folder."""
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in paths}


def test_audio_and_manifest(synthesisers: Install, text: Path, tmp_path: Path) -> None:
    synthesisers()
    steps: list[tuple[int, int]] = []
    output = tmp_path / "out"
    summary = synthesize(text, output, CONFIG, jobs=2, progress=lambda *step: steps.append(step))
    assert summary == Summary(made=6, total=6, failures=())
    assert steps == [(i, 6) for i in range(1, 7)]
    utterances = read_manifest(output / "manifest.jsonl")
    assert [u.id for u in utterances] == [f"synth-1-{i:07d}" for i in range(6)]
    assert {u.text for u in utterances} == set(SENTENCES)
    assert {u.split for u in utterances} == {"train-synthetic"}
    known = {v.speaker for v in choose_voices(CONFIG.voices)}
    assert {u.speaker for u in utterances} <= known
    for u in utterances:
        info = soundfile.info(u.audio)
        assert (info.samplerate, info.channels, info.format) == (16_000, 1, "FLAC")
        assert info.duration == pytest.approx(u.seconds, abs=1e-3)
    assert not list(output.rglob("*.tmp"))


def test_ogg(synthesisers: Install, text: Path, tmp_path: Path) -> None:
    synthesisers()
    synthesize(text, tmp_path / "out", replace(CONFIG, format="ogg", count=2))
    for u in read_manifest(tmp_path / "out" / "manifest.jsonl"):
        assert soundfile.info(u.audio).subtype == "OPUS"
        assert soundfile.info(u.audio).duration == pytest.approx(u.seconds, abs=1e-3)


def test_a_second_run_goes_on(synthesisers: Install, text: Path, tmp_path: Path) -> None:
    synthesisers()
    output = tmp_path / "out"
    synthesize(text, output, replace(CONFIG, count=4))
    before = files(output / "audio")
    (output / "audio/0000/synth-1-0000001.flac").unlink()  # as if it had been stopped
    assert synthesize(text, output, CONFIG) == Summary(made=3, total=6, failures=())
    after = files(output / "audio")
    assert {name: after[name][0] for name in before} == {name: data for name, (data, _) in before.items()}
    untouched = [name for name in before if "0000001" not in name]
    assert [after[name] for name in untouched] == [before[name] for name in untouched]
    assert synthesize(text, output, CONFIG).made == 0
    assert files(output / "audio") == after


def test_other_settings_are_refused(synthesisers: Install, text: Path, tmp_path: Path) -> None:
    synthesisers()
    output = tmp_path / "out"
    synthesize(text, output, CONFIG)
    before = files(output)
    with pytest.raises(SynthesisError, match=r"out: holds a run that differs in voices, seed; take another folder"):
        synthesize(text, output, replace(CONFIG, seed=2, voices=("flite",)))
    text.write_text("something else\n")
    with pytest.raises(SynthesisError, match=r"differs in text_sha256"):
        synthesize(text, output, CONFIG)
    assert files(output) == before
    (output / "synthesis.json").write_text("{")
    with pytest.raises(SynthesisError, match=r"synthesis.json: expected the settings of an earlier run"):
        synthesize(text, output, CONFIG)


def test_failures_are_left_out_and_tried_again(synthesisers: Install, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    config = replace(CONFIG, voices=("flite",))
    synthesisers("sys.exit('cannot') if 'slt' in arguments else None")
    summary = synthesize(text, output, config)
    assert 0 < summary.total < 6
    assert len(summary.failures) == 6 - summary.total
    assert "flite: exit status 1: cannot" in summary.failures[0]
    assert {u.speaker for u in read_manifest(output / "manifest.jsonl")} == {"synth-flite-kal16"}
    synthesisers()
    assert synthesize(text, output, config) == Summary(6 - summary.total, 6, ())


@pytest.mark.parametrize(
    ("install", "message"),
    [
        (
            {"behaviour": "sys.exit('broken')"},
            r"3 utterances failed in a row, the last: \S+: exit status 1: broken",
        ),
        ({"loudness": 0}, r"3 utterances failed in a row, the last: \S+: expected speech, got silence"),
    ],
)
def test_a_run_that_only_fails_gives_up(
    synthesisers: Install,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    install: dict[str, Any],
    message: str,
) -> None:
    synthesisers(**install)
    monkeypatch.setattr(synthesis, "FAILURES_IN_A_ROW", 3)
    with pytest.raises(SynthesisError, match=message):
        synthesize(text, tmp_path / "out", CONFIG)
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_speech_that_is_no_audio(synthesisers: Install, text: Path, tmp_path: Path) -> None:
    synthesisers("open(arguments[arguments.index('-o') + 1], 'w').write('hm'); sys.exit(0)")
    with pytest.raises(SynthesisError, match=r"1 utterances failed in a row, the last: flite:\w+: .*speech.wav"):
        synthesize(text, tmp_path / "out", SynthesisConfig(voices=("flite",), count=1))


VOICES = [Voice("espeak-ng", f"v{i}") for i in range(100)] + [Voice("flite", f"v{i}") for i in range(4)]


def test_plan_is_repeatable_and_extends() -> None:
    short = list(plan(SENTENCES, VOICES, replace(CONFIG, count=5), Path()))
    assert list(plan(SENTENCES, VOICES, replace(CONFIG, count=9), Path()))[:5] == short
    assert list(plan(SENTENCES, VOICES, replace(CONFIG, count=5, seed=2), Path())) != short


def test_plan_uses_sentences_evenly_and_engines_by_the_root_of_their_voices() -> None:
    tasks = list(plan(SENTENCES, VOICES, replace(CONFIG, count=2000), Path()))
    assert {t.text for t in tasks[:4]} == set(SENTENCES)
    assert all(sum(t.text == s for t in tasks) == 500 for s in SENTENCES)
    share = sum(t.voice.engine == "flite" for t in tasks) / 2000
    assert share == pytest.approx(2 / 12, abs=0.03)  # roots 10 and 2
    assert len({t.voice for t in tasks}) == 104
    assert len({t.manner for t in tasks}) == 2000
    assert all(0.85 <= t.manner.rate <= 1.2 and 0.6 <= t.manner.pitch <= 1.4 for t in tasks)
    assert len({t.audio for t in tasks}) == 2000


def test_sentences(tmp_path: Path, text: Path) -> None:
    assert read_sentences(text, max_words=40) == SENTENCES
    assert read_sentences(text, max_words=2) == ["hello there", "fine"]
    packed = tmp_path / "text.txt.xz"
    packed.write_bytes(lzma.compress(text.read_bytes()))
    assert read_sentences(packed, max_words=40) == SENTENCES


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("t.txt", "fine\nя\n".encode(), r"t.txt:2: expected letters a to z"),
        ("t.txt", b"fine\n\xff\n", r"t.txt:2: 'utf-8' codec can't decode byte 0xff"),
        ("t.txt", b"\n", r"t.txt: expected sentences of at most 5 words, found none"),
        ("t.txt.xz", b"not compressed", r"t.txt.xz: cannot read it: Input format not supported"),
        (
            "t.txt.xz",
            lzma.compress(b"hello" * 99)[:-9],
            r"t.txt.xz: cannot read it: Compressed data ended before",
        ),
    ],
)
def test_unreadable_texts(tmp_path: Path, name: str, contents: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(SynthesisError, match=message):
        read_sentences(tmp_path / name, max_words=5)


def test_missing_text(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"gone.txt: cannot read it: .*No such file"):
        read_sentences(tmp_path / "gone.txt", max_words=5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count: expected a number above 0, got 0"),
        ({"max_words": 0}, "max_words: expected a number above 0, got 0"),
        ({"format": "mp3"}, "format: expected one of flac, ogg, got 'mp3'"),
        ({"voices": ()}, "expected at least one voice"),
        ({"split": ""}, "expected at least one voice and a split's name"),
    ],
)
def test_config_is_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SynthesisConfig(**values)


def test_jobs_are_checked(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"jobs: expected a number above 0, got 0"):
        synthesize(text, tmp_path / "out", CONFIG, jobs=0)
