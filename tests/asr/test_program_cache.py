"""The cache of compiled programs: found again, never trusted when touched, never in the way."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr.program_cache import ProgramCache, SealedFolder, cache_folder, processor

ROOT = Path(__file__).parents[2]
PROGRAM = """
from asr.quick_start import quick_start
with quick_start():
    import tensorflow as tf
    step = tf.function(lambda x: tf.nn.softmax(tf.tanh(x @ x)), jit_compile=True, autograph=False)
    print(step(tf.reshape(tf.range(64.0), (8, 8)) / 64).numpy().tobytes().hex())
"""


def run(cache: Path) -> tuple[str, str]:
    """A process that compiles a small program: its result, to the bit, and what it said besides."""
    environment = {**os.environ, "EARSHOT_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def entries(cache: Path) -> dict[str, tuple[int, bytes]]:
    """When each program was written, and its content."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in cache.rglob("*.pb")}


def seals(cache: Path) -> set[str]:
    return {path.name.removesuffix(".sha256") for path in cache.rglob("*.pb.sha256")}


def test_the_second_process_compiles_nothing_and_damage_is_harmless(tmp_path: Path) -> None:
    result, _ = run(tmp_path)
    kept = entries(tmp_path)
    assert len(kept) == 1
    assert seals(tmp_path) == set(kept)
    assert run(tmp_path)[0] == result
    assert entries(tmp_path) == kept  # a program that is compiled is written
    (path,) = tmp_path.rglob("*.pb")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    damaged = entries(tmp_path)
    assert run(tmp_path)[0] == result
    replaced = entries(tmp_path)
    assert list(replaced) == list(damaged)
    assert replaced != damaged
    assert seals(tmp_path) == set(replaced)
    file = tmp_path / "file"
    file.write_text("in the way", encoding="ascii")
    outcome, said = run(file)
    assert outcome == result
    assert "programs are not kept: " in said


def entry(cache: ProgramCache, name: str, content: bytes = b"code", second: int = 0) -> Path:
    path = cache.folder / f"{name}.pb"
    path.write_bytes(content)
    os.utime(path, (second, second))
    return path


def test_only_what_is_sealed_and_unchanged_stays(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path / "a" / "b")
    good, changed = entry(cache, "good"), entry(cache, "changed")
    cache.seal()
    unsealed = entry(cache, "foreign")
    changed.write_bytes(b"other")
    unreadable = entry(cache, "unreadable")
    unreadable.with_name("unreadable.pb.sha256").write_bytes(b"\xff\xfe")
    ProgramCache(cache.folder)
    assert good.exists()
    assert not changed.exists()
    assert not unsealed.exists()
    assert {path.name for path in cache.folder.iterdir()} == {"good.pb", "good.pb.sha256"}


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path / "programs")
    old, middle, new = (entry(cache, str(second), bytes(10), second) for second in (1, 2, 3))
    cache.seal()
    ProgramCache(cache.folder, largest_bytes=20)
    assert [path.exists() for path in (old, middle, new)] == [False, True, True]


def test_a_file_is_read_only_if_its_seal_vouches_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that cannot be written, too; and nothing else is looked at."""
    cache = SealedFolder(tmp_path / "programs", "*.tflite", 20)
    assert cache.read("a.tflite") is None
    cache.keep("a.tflite", b"program")
    assert cache.read("a.tflite") == b"program"
    (cache.folder / "b.tflite").write_bytes(b"foreign")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    cache = SealedFolder(cache.folder, "*.tflite", 20)
    assert cache.read("b.tflite") is None
    assert cache.read("a.tflite") == b"program"
    (cache.folder / "a.tflite").write_bytes(b"damaged")
    assert cache.read("a.tflite") is None
    (cache.folder / "a.tflite.sha256").write_bytes(b"\xff\xfe")
    assert cache.read("a.tflite") is None


def test_the_oldest_files_go_first(tmp_path: Path) -> None:
    cache = SealedFolder(tmp_path / "programs", "*.tflite", 20)
    for second, name in enumerate(("old", "middle", "new")):
        cache.keep(name + ".tflite", bytes(10))
        os.utime(cache.folder / f"{name}.tflite", (second, second))
    SealedFolder(cache.folder, "*.tflite", 20)
    assert {path.name.partition(".")[0] for path in cache.folder.iterdir()} == {"middle", "new"}


def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="expected a folder that only this user can write to"):
        ProgramCache(folder)


def test_its_own_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    assert ProgramCache(tmp_path / "new").folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # for root everything is writable
    folder = tmp_path / "programs"
    cache = ProgramCache(folder)
    path = entry(cache, "program")
    cache.seal()
    assert list(folder.iterdir()) == [path]
    assert path.exists()


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process without TensorFlow, whose settings are put back."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    return monkeypatch


def test_flags_of_the_user_s_stay(flags: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flags.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    flags.setenv("EARSHOT_CACHE", str(tmp_path))
    cache = ProgramCache.enable()
    assert cache is not None
    assert cache.folder.is_relative_to(tmp_path)
    first, directory, _ = os.environ["TF_XLA_FLAGS"].split()
    assert first == "--tf_xla_auto_jit=0"
    assert directory == f"--tf_xla_persistent_cache_directory={cache.folder}"
    before = os.environ["TF_XLA_FLAGS"]
    assert ProgramCache.enable() is None  # who has set a folder keeps it
    assert os.environ["TF_XLA_FLAGS"] == before


@pytest.mark.parametrize("value", ["off", "{folder}/with spaces", "{folder}/file/below"])
def test_without_a_folder_nothing_is_set(
    flags: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    flags.setenv("EARSHOT_CACHE", value.format(folder=tmp_path))
    with caplog.at_level(logging.WARNING):
        assert ProgramCache.enable() is None
    assert os.environ["TF_XLA_FLAGS"] == ""
    assert ("programs are not kept" in caplog.text) == (value != "off")


def test_the_folder_by_default_and_by_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_folder({}).is_relative_to(tmp_path / "earshot")
    chosen = cache_folder({"EARSHOT_CACHE": str(tmp_path / "mine")})
    assert chosen.parent == tmp_path / "mine" / "programs"
    assert processor() in chosen.name
    assert cache_folder({"KERAS_BACKEND": "jax"}) is None
    flagged = cache_folder({"EARSHOT_CACHE": str(tmp_path / "mine"), "XLA_FLAGS": "--xla_cpu_enable_fast_math=true"})
    assert flagged.parent == chosen.parent and flagged.name.startswith(f"{chosen.name}-")  # it is other code


def test_processors_differ_by_what_they_can(tmp_path: Path) -> None:
    def named(flags: str, speed: str) -> str:
        file = tmp_path / "cpuinfo"
        file.write_text(f"model name\t: X\ncpu MHz\t: {speed}\nflags\t: {flags}\n\nmodel name\t: X\n", encoding="utf-8")
        return processor(file)

    assert named("avx avx2", "1000") == named("avx avx2", "2000")
    assert named("avx avx2", "1000") != named("avx", "1000")
    assert processor(tmp_path / "missing").startswith(os.uname().machine)
