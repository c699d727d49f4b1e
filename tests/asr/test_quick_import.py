"""Keras without its optional packages, in a process of its own: an import happens once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr.quick_import import NOT_NEEDED, _backend, without_notices

ROOT = Path(__file__).parents[2]
PROGRAM = f"""
import sys
from asr.quick_import import import_keras
hidden = {sorted(NOT_NEEDED)}
import_keras()
assert "tensorflow" in sys.modules and "keras" in sys.modules
print([name for name in hidden if name in sys.modules])
assert not [finder for finder in sys.meta_path if type(finder).__name__ == "_Hidden"]
import matplotlib.figure  # as `asr attend` does later
import_keras()
"""


def test_what_is_not_needed_is_not_imported_and_can_be_later() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    assert done.stderr == ""  # not even what TensorFlow says before it knows what it may say


def test_only_notices_are_kept_from_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with without_notices():
        for line in (b"I0000 00:00:1.0 1 port.cc:153] on\n", b"E0000 broken\n", b"I am no notice\n"):
            os.write(2, line)
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nno end of line")
    assert capfd.readouterr().err == "E0000 broken\nI am no notice\nno end of line"
    os.write(2, b"I0000 later\n")
    assert capfd.readouterr().err == "I0000 later\n"


def test_a_failed_import_loses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModuleNotFoundError), without_notices():
        os.write(2, b"why it failed\n")
        raise ModuleNotFoundError
    assert capfd.readouterr().err == "why it failed\n"


def test_the_backend_is_known_before_keras_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert _backend() == "jax"
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert _backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}', encoding="ascii")
    assert _backend() == "jax"
    for damaged in ("{", "[]"):
        (tmp_path / "keras.json").write_text(damaged, encoding="ascii")
        assert _backend() == "tensorflow"
