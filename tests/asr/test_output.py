import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.output import STATE_FILE, ResultFolder, write_atomically

ROOT = Path(__file__).parents[2]
SETTINGS = {"model": ["small", 7], "chunk_ms": 640}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"audio")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def results(folder: Path, **changes: object) -> ResultFolder:
    """A folder opened afresh, as by another run."""
    return ResultFolder(folder, "srt", SETTINGS | changes)


def test_writes_text_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, "café\nline\n")
    assert path.read_bytes() == "café\nline\n".encode()
    write_atomically(path, "other\n")
    assert path.read_bytes() == b"other\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_while_writing_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    die = "lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    owner = "os" if moment == "fsync" else "pathlib.Path"
    code = f"""
import os, pathlib, signal
from asr.output import write_atomically
{owner}.{moment} = {die}
write_atomically(pathlib.Path({str(path)!r}), "new" * 100_000)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9
    assert path.read_text() == "old"


def test_text_that_is_no_unicode_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \udc80")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_what_is_written_is_done_for_the_next_run(folder: Path, source: Path) -> None:
    first = results(folder)
    assert not first.done(source)
    path = first.write(source, "hello\n")
    assert (path, path.read_text()) == (folder / "talk.wav.srt", "hello\n")
    assert first.done(source)
    assert results(folder).done(source)


def test_other_settings_do_not_count(folder: Path, source: Path) -> None:
    results(folder).write(source, "hello\n")
    assert not results(folder, chunk_ms=320).done(source)
    assert not results(folder, model=["small", 8]).done(source)


def test_another_source_of_that_name_does_not_count(folder: Path, source: Path) -> None:
    results(folder).write(source, "hello\n")
    other = source.parent / "b" / source.name
    other.parent.mkdir()
    other.write_bytes(source.read_bytes())
    assert not results(folder).done(other)


@pytest.mark.parametrize("change", ["content", "time", "result gone", "source gone"])
def test_a_change_undoes(folder: Path, source: Path, change: str) -> None:
    path = results(folder).write(source, "hello\n")
    time = source.stat().st_mtime_ns
    if change == "content":
        source.write_bytes(b"longer audio")
        os.utime(source, ns=(time, time))
    elif change == "time":  # an older one as well: a backup put back
        os.utime(source, ns=(time - 10**9, time - 10**9))
    elif change == "result gone":
        path.unlink()
    else:
        source.unlink()
    assert not results(folder).done(source)


def test_a_result_edited_by_hand_stays(folder: Path, source: Path) -> None:
    results(folder).write(source, "helo\n").write_text("hello, corrected\n")
    assert results(folder).done(source)


def test_a_source_that_changes_while_it_is_read_is_not_done(folder: Path, source: Path) -> None:
    run = results(folder)
    assert not run.done(source)
    source.write_bytes(b"audio, still being recorded")
    run.write(source, "hello\n")
    assert not results(folder).done(source)


def test_a_source_that_vanishes_while_it_is_read_still_gives_its_result(folder: Path, source: Path) -> None:
    run = results(folder)
    assert not run.done(source)
    source.unlink()
    assert run.write(source, "hello\n").read_text() == "hello\n"


@pytest.mark.parametrize("stop_at", range(4))
def test_killed_between_steps_no_result_passes_for_another(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """A second run with other settings dies at its n-th sync to disk; the first one's settings then ask again."""
    results(folder).write(source, "made with 640\n")
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > stop_at:
            raise KeyboardInterrupt
        real(descriptor)

    second = results(folder, chunk_ms=320)
    assert not second.done(source)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(KeyboardInterrupt) if stop_at < 3 else nullcontext():
            second.write(source, "made with 320\n")
    text = (folder / "talk.wav.srt").read_text()
    if results(folder).done(source):
        assert text == "made with 640\n"
    if results(folder, chunk_ms=320).done(source):
        assert text == "made with 320\n"
    assert results(folder, chunk_ms=320).done(source) or stop_at < 3


@given(keep=st.floats(0, 1), junk=st.sampled_from(["", "\n", "[1]", "{}", '{"result":[],"mark":1}', "nul", "\x00\xff"]))
def test_a_damaged_journal_costs_work_but_no_result(
    tmp_path_factory: pytest.TempPathFactory, keep: float, junk: str
) -> None:
    base = tmp_path_factory.mktemp("journal")
    sources = [base / name for name in ("a.wav", "b.wav")]
    for source in sources:
        source.touch()
    folder = base / "out"
    for source in sources:
        results(folder).write(source, source.name)
    journal = folder / STATE_FILE
    data = journal.read_bytes()
    journal.write_bytes(data[: round(len(data) * keep)] + junk.encode("latin-1"))
    again = results(folder)
    if not again.done(sources[0]):
        again.write(sources[0], "again")
    assert results(folder).done(sources[0])
    assert not results(folder, chunk_ms=1).done(sources[1])


def test_two_runs_in_one_folder_keep_each_others_marks(folder: Path, source: Path) -> None:
    other = source.with_name("b.wav")
    other.write_bytes(b"more")
    one, two = results(folder), results(folder)
    one.write(source, "1")
    two.write(other, "2")
    assert results(folder).done(source)
    assert results(folder).done(other)


def test_endings_do_not_meet(folder: Path, source: Path) -> None:
    run = results(folder)
    assert run.path_of(source) != run.path_of(source.with_suffix(".mp3"))
    run.check_names([source, source.with_suffix(".mp3"), source])


def test_two_sources_of_one_name(folder: Path, source: Path) -> None:
    other = source.parent / "b" / source.name
    with pytest.raises(AsrError, match=r"talk\.wav and .*b/talk\.wav would both be written to .*talk\.wav\.srt"):
        results(folder).check_names([source, other])


def test_a_file_in_the_folders_place(source: Path) -> None:
    with pytest.raises(AsrError, match=r"talk\.wav: expected a folder for the results, got a file"):
        results(source)
