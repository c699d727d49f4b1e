"""`asr attend`: rows, and pictures of every kind."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.attention_picture import draw_attention, heat, rows_of
from asr.cli import main
from asr.errors import AsrError
from asr.streaming.attended import Attended, WindowPattern
from asr.streaming.looks import BlockLook
from asr.transcript import Transcript, Word, segment_of

HEADS, FRAMES = 2, 6


def look(start_ms: int, labels: list[str], seed: int) -> BlockLook:
    weights = np.random.default_rng(seed).dirichlet(np.ones(FRAMES), (len(labels), HEADS)).astype(np.float32)
    return BlockLook(start_ms, start_ms + 320, tuple(labels), weights, 0.7)


@pytest.fixture
def attended() -> Attended:
    looks = look(0, ["▁he"], 0), look(320, ["llo", "▁<b>"], 1), look(640, [], 2)
    words = [Word("hello", 80, 400, 0.9), Word("<b>", 500, 640, 0.5)]
    pattern = WindowPattern(np.arange(-160, 81, 80), np.full((HEADS, 4), 0.25, np.float32))
    frames = np.random.default_rng(3).normal(size=(96, 80)).astype(np.float32)
    return Attended(frames, Transcript((segment_of(words),), 960), looks, {"lower0": pattern, "upper0": pattern})


def test_a_row_is_a_wordpiece_or_a_word(attended: Attended) -> None:
    assert [label for label, _ in rows_of(attended.looks, words=False)] == ["▁he", "llo", "▁<b>"]
    rows = rows_of(attended.looks, words=True)
    assert [(label, len(parts)) for label, parts in rows] == [("hello", 2), ("<b>", 1)]
    begins = [begin for _, parts in rows for begin, _ in parts]
    assert begins == pytest.approx([0.32 - 0.48, 0.64 - 0.48, 0.64 - 0.48])  # two frames of window, four of block


def test_weights_stand_where_their_frames_are(attended: Attended) -> None:
    (_, parts), _ = rows_of(attended.looks, words=True)
    first, second = attended.looks[0].weights[0], attended.looks[1].weights[0]
    expected = np.zeros((HEADS, 12))
    expected[:, 0:4] += first[:, 2:] / 2  # the window before the stream's first frame is not drawn
    expected[:, 2:8] += second / 2
    for head in range(HEADS):
        np.testing.assert_allclose(heat(parts, head, 12), expected[head], atol=1e-6)
    np.testing.assert_allclose(heat(parts, None, 12), expected.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("html", b"<!doctype html>")]
)
@pytest.mark.parametrize("options", [{}, {"words": True, "heads": True}])
def test_pictures_of_every_kind(attended: Attended, tmp_path: Path, kind: str, magic: bytes, options: dict) -> None:
    path = tmp_path / f"a.{kind}"
    draw_attention(attended, path, "a & b", **options)
    data = path.read_bytes()
    assert data.startswith(magic) and len(data) > 5000


def test_the_page_has_the_words_and_nothing_unescaped(attended: Attended, tmp_path: Path) -> None:
    draw_attention(attended, tmp_path / "a.html", "a & b")
    page = (tmp_path / "a.html").read_text()
    assert "<title>a &amp; b</title>" in page and "<tr><td>hello<td>0.08<td>0.40<td>0.90" in page
    assert "<svg" in page and "<b>" not in page
    assert not re.search(r"""(src|href)=["']https?://""", page)


def test_silence_is_drawn_too(tmp_path: Path) -> None:
    draw_attention(Attended(np.zeros((0, 80), np.float32), Transcript((), 0), (), {}), tmp_path / "a.png", "nothing")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_another_kind_of_output_is_refused(attended: Attended, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"a\.gif: expected a name that ends in \.png, \.svg, \.pdf, \.html"):
        draw_attention(attended, tmp_path / "a.gif", "a")


@pytest.mark.parametrize("beam", [1, 3])
def test_the_command_draws_the_start_of_a_recording(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, beam: int
) -> None:
    samples = 0.1 * np.random.default_rng(0).normal(size=48_000)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    picture = tmp_path / "a.png"
    arguments = ["attend", tmp_path / "a.wav", "--output", picture, "--seconds", 1.5, "--model", model_folder]
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments), "--chunk-ms", "320", "--words", "--beam", str(beam)])
    assert not stopped.value.code and picture.exists()
    assert capsys.readouterr().out.endswith("\n")
