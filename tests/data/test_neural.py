import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from data import neural
from data.programs import SynthesisError
from data.synthesize import SynthesisConfig, synthesize
from data.voices import Manner, Voice, choose_voices, speak

TEXT = "when i was there i'd have said nothing at all"


class Session:
    """Stands for ONNX Runtime's: keeps what it was asked, and says a tone."""

    def __init__(self, samples: int = 24_000, value: float = 0.5) -> None:
        self.asked: list[dict[str, np.ndarray]] = []
        self.said = value * np.sin(np.arange(samples, dtype=np.float32) / 9)

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.asked.append(inputs)
        return [self.said[None]]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session()
    monkeypatch.setattr(neural, "open_model", lambda path: made)
    return made


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "voices").mkdir(parents=True)
    (folder / "kokoro-v1.onnx").write_bytes(b"no model")
    for i, name in enumerate(["af_sky", "am_adam", "bf_lily", "af_nicole", "jf_alpha"]):
        rows = np.arange(510, dtype=np.float32)[:, None] + np.full(256, 1000.0 * i, np.float32)
        rows.astype(np.float32).tofile(folder / "voices" / f"{name}.bin")
    (folder / "joe.onnx").write_bytes(b"no model")
    (folder / "lonely.onnx").write_bytes(b"no model")
    ids = {"^": [1], "_": [0], "$": [2], "h": [20], "ə": [59], ".": [10], " ": [3]}
    settings = {"phoneme_id_map": ids, "espeak": {"voice": "en-us"}, "audio": {"sample_rate": 22_050}}
    (folder / "joe.onnx.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def spoken(voice: Voice, folder: Path, rate: float = 1.0) -> np.ndarray:
    text, wave = folder / "t.txt", folder / "w.wav"
    text.write_text(f"{TEXT}\n", encoding="utf-8")
    speak(voice, Manner(rate), text, wave)
    samples, rate = soundfile.read(wave)
    assert rate == 16_000
    return np.asarray(samples)


def test_voices(models: Path) -> None:
    assert [v.name for v in choose_voices(["kokoro"], models)] == [
        *("af_sky", "am_adam", "bf_lily"),  # neither the one that whispers nor the Japanese one
        *("af_sky+am_adam", "af_sky+bf_lily", "am_adam+bf_lily"),
    ]
    assert [str(v) for v in choose_voices(["piper", "hibari:*@1.1?"], models)] == [
        *("piper:joe", "hibari:heart@1.10", "hibari:heart@1.12", "hibari:heart@1.14"),
    ]


def test_hibaris_speakers_differ_in_pitch_and_keep_the_tempo(tmp_path: Path) -> None:
    pitches, lengths = [], []
    for name in ("heart@0.84", "heart@1.00", "heart@1.14"):
        samples = spoken(Voice("hibari", name), tmp_path)
        lengths.append(len(samples))
        f0, voiced, _ = librosa.pyin(samples, fmin=60, fmax=500, sr=16_000)
        pitches.append(float(np.median(f0[voiced])))
    assert max(lengths) < 1.2 * min(lengths)  # the factors alone would make it 1.36
    # 2.5 times as far as the formants, in logarithms: 0.65 and 1.39 of the voice's own.
    assert pitches[0] / pitches[1] == pytest.approx(0.84**2.5, rel=0.1)
    assert pitches[2] / pitches[1] == pytest.approx(1.14**2.5, rel=0.1)


def test_hibaris_manner_and_repeatability(tmp_path: Path) -> None:
    voice = Voice("hibari", "heart@1.00")
    slow, fast = (spoken(voice, tmp_path, rate) for rate in (0.8, 1.25))
    assert len(slow) > 1.25 * len(fast)
    np.testing.assert_array_equal(fast, spoken(voice, tmp_path, 1.25))


def test_kokoro_gets_phonemes_and_the_mean_of_two_styles(models: Path, session: Session, tmp_path: Path) -> None:
    samples = spoken(Voice("kokoro", "am_adam+bf_lily", models), tmp_path, 1.2)
    (asked,) = session.asked
    tokens = asked["tokens"][0]
    assert tokens[0] == tokens[-1] == 0 and 25 < len(tokens) < 60 and (tokens[1:-1] > 0).all()
    # The row of a style is that of its number of phonemes; the voices' offsets are 1000 and 2000.
    np.testing.assert_allclose(asked["style"], np.full((1, 256), 1500.0 + len(tokens) - 3))
    assert asked["style"].dtype == np.float32 and asked["speed"] == pytest.approx([1.2])
    assert len(samples) == 16_000 and np.abs(samples).max() == pytest.approx(0.5, abs=0.01)


def test_a_sentence_that_kokoro_cannot_say_whole_is_an_error(models: Path, session: Session, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("extraordinary " * 60, encoding="utf-8")
    with pytest.raises(SynthesisError, match=r"kokoro: expected a sentence of at most 500 phonemes, got \d{3}"):
        speak(Voice("kokoro", "af_sky", models), Manner(), tmp_path / "t.txt", tmp_path / "w.wav")
    assert not session.asked


def test_piper_gets_the_phonemes_of_espeak_ng(
    models: Path, session: Session, tmp_path: Path, synthesisers: Callable[..., Path]
) -> None:
    synthesisers("sys.stdout.buffer.write('h\\u0259\\u02c8\\nh'.encode()); sys.exit()")
    samples = spoken(Voice("piper", "joe", models), tmp_path, 0.8)
    (asked,) = session.asked
    # Every phoneme with a blank after it; what the voice does not know is left out, lines are one sentence.
    assert asked["input"].tolist() == [[1, 0, 20, 0, 59, 0, 3, 0, 20, 0, 10, 0, 2]]
    assert asked["input_lengths"].tolist() == [13]
    np.testing.assert_allclose(asked["scales"], [0.667, 1.25, 0.8])
    assert len(samples) == pytest.approx(24_000 * 16_000 / 22_050, abs=2)


def test_what_is_missing_is_told(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SynthesisError, match=r"kokoro: expected a folder of its models \(--voice-models\), got none"):
        choose_voices(["kokoro"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SynthesisError, match=r"empty: expected Kokoro's model, kokoro\*.onnx, found none"):
        choose_voices(["kokoro"], empty)
    with pytest.raises(SynthesisError, match=r"empty: expected NAME.onnx with NAME.onnx.json for piper, found none"):
        choose_voices(["piper"], empty)
    (empty / "kokoro.onnx").write_bytes(b"")
    with pytest.raises(SynthesisError, match=r"empty: expected voices/\*.bin of English voices for kokoro, found none"):
        choose_voices(["kokoro"], empty)
    with pytest.raises(SynthesisError, match=r"expected a folder of the voice's models, got none"):
        spoken(Voice("piper", "joe"), tmp_path)
    with pytest.raises(SynthesisError, match=r"kokoro:af_no: FileNotFoundError: .*af_no.bin"):
        monkeypatch.setattr(neural, "open_model", lambda path: Session())
        spoken(Voice("kokoro", "af_no", models), tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SynthesisError, match=r'onnxruntime is not installed: pip install "earshot\[voices\]"'):
        choose_voices(["hibari"])


def test_a_broken_model_is_named(models: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"kokoro:af_sky: \w+: .*kokoro-v1.onnx"):
        spoken(Voice("kokoro", "af_sky", models), tmp_path)


@pytest.mark.parametrize("samples, value", [(0, 0.5), (90, float("nan"))])
def test_no_speech_is_an_error(
    samples: int, value: float, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neural, "open_model", lambda path: Session(samples, value))
    with pytest.raises(SynthesisError, match=rf"kokoro:af_sky: expected speech, got {samples * 2 // 3} samples"):
        spoken(Voice("kokoro", "af_sky", models), tmp_path)


def test_a_run_with_neural_voices(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the first of them\nand the second\n")
    calls: list[Any] = []
    config = SynthesisConfig(voices=("hibari:*@0.9?",), count=3)
    summary = synthesize(text, tmp_path / "out", config, jobs=2, progress=lambda *call: calls.append(call))
    assert (summary.made, summary.failures, len(calls)) == (3, (), 3)
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert all(row["speaker"].startswith("synth-hibari-heart@0.9") and row["seconds"] > 0.4 for row in rows)
