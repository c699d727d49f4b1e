import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker import install


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run."""
    found: list[list[str]] = []
    monkeypatch.setattr(install, "run", lambda *command, **_: found.append([*map(str, command)]) or "")
    return found


def test_the_build_stage_as_plain_commands(tmp_path: Path, commands: list[list[str]]) -> None:
    install.build(tmp_path)
    scripts = [command[-1] for command in commands]
    assert scripts[0].endswith(f"-m venv {tmp_path}/opt/earshot")
    assert scripts[1] == f"{tmp_path}/opt/earshot/bin/pip install --no-cache-dir -c constraints.txt '.[server]'"
    assert len(scripts) == 2
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "server/page/index.html"):
        assert (tmp_path / "build" / name).is_file(), name
    assert (tmp_path / "build" / "asr" / "models" / "small" / "weights.npz").is_file()


def test_the_client_is_installed_from_a_wheel(tmp_path: Path, commands: list[list[str]]) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "earshot-1-py3-none-any.whl").touch()
    install.client(tmp_path)
    assert any(command[-1].endswith(".whl") and "-c" in command for command in commands)
    assert (tmp_path / "source" / "client" / "cli.py").is_file()


def test_a_server_that_ends_is_an_error(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as server:
        server.wait(60)
        check = [sys.executable, "-c", "raise SystemExit(1)"]
        with pytest.raises(RuntimeError, match="expected a server that answers, got exit status 3"):
            install.wait_for(check, server, {}, tmp_path)
