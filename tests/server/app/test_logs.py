import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.app.logs import JsonFormatter, TextFormatter, fields, set_up_logging
from server.settings import LogFormat


def record(message: str = "session opened", **about: Any) -> logging.LogRecord:
    """A log record of half past midnight on the first day."""
    made = logging.LogRecord("server.app", logging.INFO, "", 0, message, (), None)
    made.created, made.msecs = 1800.5, 500
    made.__dict__.update(fields(**about))
    return made


def test_json() -> None:
    line = json.loads(JsonFormatter().format(record(session="ä1", seconds=1.5, fault=None)))
    assert line == {
        "time": "1970-01-01T00:30:00.500Z",
        "level": "info",
        "logger": "server.app",
        "message": "session opened",
        "session": "ä1",
        "seconds": 1.5,
    }


def test_text() -> None:
    line = TextFormatter().format(record(session="s1", seconds=1.5))
    assert line == "1970-01-01T00:30:00.500Z INFO    session opened session=s1 seconds=1.5"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_an_exception_is_told_without_its_text(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("what somebody said")
    except ValueError as error:
        failed = record()
        failed.exc_info = (ValueError, error, error.__traceback__)
    line = formatter.format(failed)
    assert "ValueError" in line
    assert "test_logs.py" in line
    assert "somebody" not in line


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, left as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level
    root.setLevel(level)


@pytest.mark.parametrize("format", LogFormat)
def test_everything_goes_to_standard_error(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str], format: LogFormat
) -> None:
    set_up_logging(format)
    logging.getLogger("server.pool").info("worker %d started", 3)
    logging.getLogger("uvicorn.error").info("a connection came")
    logging.getLogger("uvicorn.error").warning("a warning")
    out, err = capsys.readouterr()
    assert out == ""
    assert "worker 3 started" in err
    assert "a connection came" not in err
    assert "a warning" in err
    if format is LogFormat.json:
        assert [json.loads(line)["level"] for line in err.splitlines()] == ["info", "warning"]


@pytest.mark.asyncio
async def test_neither_audio_nor_text_nor_tokens_are_logged(
    start_server: Any,
    speech: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.INFO)
    run = await start_server()
    async with run.connect(additional_headers={"Authorization": "Bearer hush"}) as client:
        ready = await client.start(phrases=("Rumpelstiltskin",))
        await client.audio(speech(1.0))
        await client.websocket.send('{"type":"whatever I say"}')
        await client.stop()
    about = [getattr(line, "fields", {}) for line in caplog.records]
    text = caplog.text + str(about)
    assert ready.session in text
    for secret in (ready.resume, "hush", "Rumpelstiltskin", "whatever", *client.finals[0].text.split()):
        assert secret not in text
    (ended,) = [line for line in caplog.records if line.message == "session ended"]
    assert ended.fields.keys() == {"session", "identity", "seconds"}
