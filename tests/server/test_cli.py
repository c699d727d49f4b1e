import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server import cli
from server.settings import LogFormat, Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that would be served."""
    settings: list[Settings] = []
    monkeypatch.setattr("server.app.serve.serve", lambda given: settings.append(given) or 0)
    return settings


def run(*arguments: str, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(cli.app, list(arguments), env=env)


def test_without_flags_the_defaults_are_served(served: list[Settings]) -> None:
    assert run().exit_code == 0
    assert served == [Settings()]


def test_every_setting_has_a_flag() -> None:
    flags = {name.replace("chunk_ms", "chunks_ms") for name in inspect.signature(cli.serve).parameters}
    assert flags == {field.name for field in dataclasses.fields(Settings)}


def test_flags(served: list[Settings], tmp_path: Path) -> None:
    arguments = "--host 0.0.0.0 --port 9000 --chunk-ms 640 --chunk-ms 160 --log-format json --origins https://a.org"
    assert run(*arguments.split(), "--model", str(tmp_path), "--idle-s", "5").exit_code == 0
    expected = Settings(
        host="0.0.0.0",
        port=9000,
        chunks_ms=(640, 160),
        log_format=LogFormat.json,
        origins=("https://a.org",),
        model=tmp_path,
        idle_s=5,
    )
    assert served == [expected]


def test_the_environment_and_flags_before_it(served: list[Settings]) -> None:
    environment = {"EARSHOT_PORT": "9000", "EARSHOT_WORKERS": "2", "EARSHOT_CHUNK_MS": "640 320", "EARSHOT_BEAM": "8"}
    assert run("--workers", "3", env=environment).exit_code == 0
    assert served == [Settings(port=9000, workers=3, chunks_ms=(640, 320), beam=8)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "70000"], "asr-server: expected port to be from 0 to 65535, got 70000"),
        (["--port", "many"], "integer"),
        (["--log-format", "xml"], "xml"),
        (["--auth-tokens-file", "/does/not/exist"], "asr-server: expected auth_tokens_file to be a file"),
    ],
)
def test_what_is_wrong_ends_the_command(served: list[Settings], arguments: list[str], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert served == []


def test_a_bad_token_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.app.serve.set_up_logging", lambda format: None)
    path = tmp_path / "tokens"
    path.write_text("alice secret\n")
    result = run("--auth-tokens-file", str(path))
    assert result.exit_code == 2
    assert "tokens:1: expected a name" in result.stderr
    assert "secret" not in result.stderr


def test_variables_that_are_none_are_told(served: list[Settings]) -> None:
    environment = {
        "EARSHOT_MAX_STREAM": "1",
        "EARSHOT_SERVICE_HOST": "x",
        "EARSHOT_URL": "y",
        "EARSHOT_CHUNK_MS": "320",
    }
    result = run(env=environment)
    assert result.exit_code == 0
    assert "EARSHOT_MAX_STREAM is not a setting and is ignored; did you mean EARSHOT_MAX_STREAMS?" in result.stderr
    assert "EARSHOT_SERVICE_HOST is not a setting" in result.stderr
    assert "EARSHOT_URL" not in result.stderr
    assert "EARSHOT_CHUNK_MS" not in result.stderr


def test_python_m_server_is_the_command() -> None:
    command = [sys.executable, "-m", "server", "--port", "-1"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "got -1" in result.stderr
