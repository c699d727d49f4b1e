"""A teacher's frames: at the student's times, of the right place in spliced and sped-up recordings."""

from pathlib import Path
from types import SimpleNamespace

import hibari
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data import cli
from data import teacher as teaching
from data.cache import FeatureCache, write_cache
from data.manifest import Utterance, write_manifest
from data.splice import Part
from data.teacher import OnnxEncoder, Teacher, at_student_times, principal, read_teacher, teach


@pytest.fixture
def teacher() -> Teacher:
    """Of two recordings of 40 and 20 frames of 40 ms; each frame says its row and its recording."""
    rows = np.arange(60)
    frames = np.stack([rows, rows >= 40], axis=1).astype(np.float16)
    return Teacher(FeatureCache(frames, {"a": (0, 40), "b": (40, 20)}))


def test_a_target_is_the_pair_of_frames_of_its_80_ms(teacher: Teacher) -> None:
    said, counts = teacher.targets([Part("b", 0, 80)], 1.0, 80)
    assert said.shape == (10, 4) == (10, teacher.width)
    assert said.tolist() == [[40 + 2 * i, 1, 41 + 2 * i, 1] for i in range(10)]
    assert counts.tolist() == [1.0] * 10


def test_targets_follow_the_parts_of_a_spliced_recording(teacher: Teacher) -> None:
    said, _ = teacher.targets([Part("b", 16, 48), Part("a", 80, 96)], 1.0, 48)
    assert said[:, 0].tolist() == [44, 46, 48, 50, 20, 22]


@given(st.floats(0.5, 2.0), st.integers(16, 160))
def test_targets_keep_the_time_of_a_recording_that_is_played_faster(speed: float, length: int) -> None:
    frames = np.arange(40, dtype=np.float16)[:, None]
    said, counts = Teacher(FeatureCache(frames, {"a": (0, 40)})).targets([Part("a", 0, length)], speed, length)
    played = (np.arange(len(said)) * 8 + 2) * speed // 4
    assert said[:, 0].tolist() == np.minimum(played, (length - 1) // 4).tolist()
    assert counts.all()


def test_what_the_teacher_did_not_hear_counts_for_nothing(teacher: Teacher) -> None:
    said, counts = teacher.targets([Part("other", 0, 16), Part("a", 144, 176)], 1.0, 48)
    assert counts.tolist() == [0, 0, 1, 1, 0, 0]  # of "a" the frames end at 160
    assert said[:, 0].tolist() == [0, 0, 36, 38, 0, 0]


def test_an_unfinished_pair_is_no_target(teacher: Teacher) -> None:
    assert len(teacher.targets([Part("a", 0, 13)], 1.0, 13)[0]) == 1


def test_frames_are_interpolated_to_the_middles_of_40_ms() -> None:
    own = np.arange(50, dtype=np.float32)[:, None] * 24 + 28  # each says its time
    assert at_student_times(own, 28, 24, 20)[:, 0].tolist() == [max(28, 40 * i + 20) for i in range(20)]
    assert at_student_times(own[:3], 28, 24, 4)[:, 0].tolist() == [28, 60, 76, 76]  # no frame past the last
    assert at_student_times(own[:0], 28, 24, 5).shape == (0, 1)


def test_components_keep_what_varies_and_even_out_its_scale() -> None:
    rng = np.random.default_rng(1)
    mixing = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    deviations = np.array([9.0, 3.0, 1.0, 0.01, 0.01])
    frames = (rng.standard_normal((4000, 5)) * deviations @ mixing + 7).astype(np.float32)
    components, kept = principal(frames, 3)
    found = components(frames)
    assert kept == pytest.approx(1.0, abs=1e-3)
    assert np.mean(found) == pytest.approx(0, abs=1e-3)
    assert np.mean(found**2) == pytest.approx(1, rel=1e-3)
    spread = found.std(axis=0)
    np.testing.assert_allclose(spread[:2] / spread[1:], np.sqrt([3.0, 3.0]), rtol=0.05)


def test_more_components_than_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected at least 9 frames and numbers in each, got \[20, 8\]"):
        principal(np.zeros((20, 8), np.float32), 9)


class Session:
    """Stands for ONNX Runtime's: of every 20 ms of samples it says the loudness, the place and the loudness again."""

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="samples", shape=["b", "n"])]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(shape=["b", "t", 3])]

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        loud = np.abs(inputs["samples"][0, : inputs["samples"].shape[1] // 320 * 320]).reshape(-1, 320).mean(axis=1)
        frames = np.stack([loud, np.arange(len(loud)), -loud], axis=1)
        return [frames[None].astype(np.float32)]


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Utterance]:
    """Of 1 and 2 s, ever louder; and one that is too short to hear."""
    monkeypatch.setattr(teaching, "open_model", lambda path: Session())
    made = []
    for name, samples in (("a", 16_000), ("b", 32_000), ("short", 800)):
        soundfile.write(tmp_path / f"{name}.wav", np.linspace(0, 0.5, samples), 16_000)
        made.append(Utterance(name, str(tmp_path / f"{name}.wav"), samples / 16_000, "s", None, "train"))
    write_manifest(tmp_path / "m.jsonl", made)
    return made


def test_recordings_are_heard_and_read_again(recordings: list[Utterance], tmp_path: Path) -> None:
    done = []
    encoder = OnnxEncoder(tmp_path / "encoder.onnx", 10, 20)
    kept = teach(recordings, encoder, tmp_path / "frames", 2, progress=lambda *counts: done.append(counts))
    assert kept == pytest.approx(1.0, abs=1e-3)  # the third number is the first
    assert done == [(1, 3), (2, 3), (3, 3)]
    said = read_teacher(tmp_path / "frames")
    assert {name: count for name, (_, count) in said.frames.spans.items()} == {"a": 25, "b": 50, "short": 0}
    first, counts = said.targets([Part("a", 0, 100)], 1.0, 100)
    assert counts.sum() == 12 and said.width == 4
    whole = said.targets([Part("b", 0, 200)], 1.0, 200)[0]
    steps = np.diff(first[:, 0])
    assert np.all(steps > 0) or np.all(steps < 0)  # ever louder
    assert np.abs(whole).max() > np.abs(first).max()
    assert sorted(p.suffix for p in (tmp_path / "frames").iterdir()) == [".f16", ".json"]  # nothing of all numbers


def test_the_command_says_what_is_kept(
    recordings: list[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.onnx").write_bytes(b"stands for an encoder")
    asked = ["teach", tmp_path / "m.jsonl", "-o", tmp_path / "frames", "--encoder", tmp_path / "e.onnx", "-j", 1]
    for options, status, expected in (
        (["--components", 2], 0, f"Wrote frames of 3 recordings to {tmp_path / 'frames'}: 100 % of their variance.\n"),
        (
            ["--components", 4],
            1,
            f"error: components: expected at most 3, the numbers in a frame of {tmp_path / 'e.onnx'}, got 4\n",
        ),
        (
            ["--step-ms", 0],
            1,
            "error: expected a step above 0 ms and a first middle of at least 0 ms, got first_ms 28.0",
        ),
        (["--split", "dev"], 1, f"error: {tmp_path / 'm.jsonl'}: expected utterances of dev, found none\n"),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(a) for a in [*asked, *options]])
        said = capsys.readouterr()
        assert stopped.value.code == status
        assert (said.err if status else said.out).startswith(expected)


def test_what_is_no_encoder_is_named(tmp_path: Path) -> None:
    other = Path(hibari.__file__).parent / "assets" / "hibari.onnx"
    with pytest.raises(ValueError, match=r"hibari\.onnx: expected an encoder of \[batch, samples\] to \[batch, frames"):
        teaching._open(other)
    (tmp_path / "x.onnx").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"x\.onnx: expected an encoder as ONNX or ORT, got"):
        teaching._open(tmp_path / "x.onnx")


@pytest.mark.parametrize("written", [None, "{", "{}", "[]"])
def test_a_folder_without_a_teachers_frames_is_named(tmp_path: Path, written: str | None) -> None:
    if written is not None:
        (tmp_path / "index.json").write_text(written)
    with pytest.raises(FileNotFoundError, match="expected a teacher's frames, as asr-data teach writes them"):
        read_teacher(tmp_path)


def test_another_cache_is_still_a_teachers_frames_of_its_own_width(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"x")
    heard = [Utterance("u", str(tmp_path / "x.wav"), 1.0, "s", None, "train")]
    write_cache(heard, [np.zeros((4, 3), np.float16)], tmp_path / "c", "settings", bins=3)
    assert read_teacher(tmp_path / "c").width == 6
