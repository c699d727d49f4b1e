"""Where machine code of the host's functions is kept: each in a process of its own, for Numba reads settings once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr.host_code import KEPT
from asr.program_cache import code_digest

PROGRAM = """
import warnings
import numpy as np
from asr.host_code import host_code, _settings

warnings.simplefilter("error")

def doubled(x):
    return 2 * x

print(host_code(doubled)(21), _settings.CACHE_DIR)
"""


def run(folder: Path, **environment: str) -> str:
    """What the program prints, from a file of its own."""
    path = folder / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    root = str(Path(__file__).parents[2])
    rest = {k: v for k, v in os.environ.items() if k not in ("EARSHOT_CACHE", "NUMBA_CACHE_DIR")}
    found = subprocess.run(
        [sys.executable, str(path)],
        env=rest | {"PYTHONPATH": root} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_code_is_kept_with_the_programs(tmp_path: Path) -> None:
    """Under a name of all our code: Numba does not notice when a function that is called has changed."""
    kept = tmp_path / "cache" / "programs" / "numba"
    assert run(tmp_path, EARSHOT_CACHE=str(tmp_path / "cache")) == f"42 {kept / code_digest()[:16]}"
    assert [path.suffix for path in kept.glob(KEPT)].count(".nbc") == 1
    assert kept.stat().st_mode & 0o077 == 0


def test_code_is_not_kept_where_the_cache_is_off(tmp_path: Path) -> None:
    assert run(tmp_path, EARSHOT_CACHE="off") == "42"
    assert not list(tmp_path.rglob("*.nb?"))


def test_a_folder_that_others_can_write_to_is_not_read(tmp_path: Path) -> None:
    shared = tmp_path / "cache" / "programs" / "numba"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    assert run(tmp_path, EARSHOT_CACHE=str(tmp_path / "cache")) == "42"
    assert not list(shared.rglob("*.nb?"))


@pytest.mark.parametrize("cache", ["off", "elsewhere"])
def test_numbas_own_setting_counts(tmp_path: Path, cache: str) -> None:
    own = tmp_path / "own"
    assert run(tmp_path, EARSHOT_CACHE=str(tmp_path / cache), NUMBA_CACHE_DIR=str(own)) == f"42 {own}"
    assert list(own.rglob("*.nbc"))
