"""PROTOCOL.md says what the code does: its examples are read, its tables are compared."""

import json
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from server.session import Limits
from server.wire import (
    MAX_CLIENT_BYTES,
    ClientMessage,
    Encoding,
    ErrorCode,
    ServerMessage,
    Start,
    decode_client,
    decode_server,
    encode,
)

PAGE = (Path(__file__).parents[2] / "PROTOCOL.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^    ([→←]) (\{.*\})$", PAGE, re.MULTILINE)
STRUCTS = {struct.__struct_config__.tag: struct for struct in (*get_args(ClientMessage), *get_args(ServerMessage))}


def section(title: str) -> str:
    """From a heading to the next one."""
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no section {title}"
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = re.findall(r"^\| ?(.*?) ?\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r" ?\| ", line)] for line in lines[2:]]


@pytest.mark.parametrize(("arrow", "frame"), EXAMPLES)
def test_every_example_is_a_message_as_the_code_writes_it(arrow: str, frame: str) -> None:
    message = decode_client(frame) if arrow == "→" else decode_server(frame)
    written = json.loads(encode(message))
    for name, value in json.loads(frame).items():
        assert written[name] == value


def test_every_message_has_an_example() -> None:
    assert {json.loads(frame)["type"] for _, frame in EXAMPLES} == set(STRUCTS)


@pytest.mark.parametrize("tag", STRUCTS)
def test_every_field_of_every_message_is_described(tag: str) -> None:
    described = [row[0].strip("`") for row in rows(section(f"`{tag}`"))]
    assert described == [field.encode_name for field in msgspec.structs.fields(STRUCTS[tag])]


def test_the_defaults_of_start_are_right() -> None:
    defaults = json.loads(encode(Start(sample_rate=16_000)))
    for name, _, default, _ in rows(section("`start`")):
        if default and default != "the server's":
            assert json.loads(default.strip("`")) == defaults[name.strip("`")]


def test_every_encoding_is_described() -> None:
    assert [row[0].strip("`") for row in rows(section("Audio"))] == [encoding.value for encoding in Encoding]


def test_every_error_is_described_with_its_close_code() -> None:
    table = {row[0].strip("`"): row for row in rows(section("Errors"))}
    assert set(table) == {code.value for code in ErrorCode}
    for code in ErrorCode:
        _, close_code, means, does = table[code.value]
        assert int(close_code.partition(",")[0]) == code.close_code
        assert means and does


def test_the_limits_are_the_defaults() -> None:
    given = {row[0]: re.sub(r"( bytes| s)$", "", row[1]) for row in rows(section("Limits"))}
    limits = Limits()
    expected = {
        "text frame": MAX_CLIENT_BYTES,
        "binary frame": limits.frame_bytes,
        "time without audio or message, and before the first message": limits.idle_s,
        "a session's duration": limits.session_s,
        "resume window": limits.resume_s,
        "audio that waits for recognition": limits.backlog_s,
        "messages that wait to be read by the client": limits.events,
        "finals kept for a client that resumes": limits.events,
        "`flush` without its answer": limits.events,
        "refused messages in a connection": limits.errors,
    }
    assert {name: float(given[name]) for name in expected} == expected


def test_every_code_that_is_named_anywhere_exists() -> None:
    named = {code for row in rows(section("Limits")) for code in re.findall(r"`([a-z]+_[a-z_]+)`", row[2])}
    assert named <= {code.value for code in ErrorCode}
