from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from server.session import Limits
from server.settings import Settings


def test_defaults_are_valid_and_local() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.limits == Limits(worker_s=settings.worker_start_s)  # as long as a new worker may take


def test_settings_cannot_be_changed_or_misspelt() -> None:
    settings = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="prot"):
        Settings(prot=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"host": ""}, "expected host to be an address, got an empty text"),
        ({"port": -1}, "expected port to be from 0 to 65535, got -1"),
        ({"port": 65_536}, "expected port to be from 0 to 65535, got 65536"),
        ({"max_streams": 0}, "expected max_streams to be from 1 to 100000, got 0"),
        ({"workers": 0}, "expected workers to be from 1 to 256, got 0"),
        ({"workers": 3, "max_streams": 2}, "expected max_streams >= workers"),
        ({"batch": 0}, "expected batch to be from 1 to 4096, got 0"),
        ({"beam": -1}, "expected beam to be from 0 to 32, got -1"),
        ({"beam": 33}, "expected beam to be from 0 to 32, got 33"),
        ({"streams_per_token": -1}, "expected streams_per_token to be from 0"),
        ({"events": 15}, "expected events to be from 16"),
        ({"frame_bytes": 1023}, "expected frame_bytes to be from 1024"),
        ({"idle_s": 0.0}, "expected idle_s to be a number of seconds > 0, got 0.0"),
        ({"session_s": -1.0}, "expected session_s to be a number of seconds > 0, got -1.0"),
        ({"resume_s": float("nan")}, "expected resume_s to be a number of seconds > 0, got nan"),
        ({"backlog_s": float("inf")}, "expected backlog_s to be a number of seconds > 0, got inf"),
        ({"drain_s": -1.0}, "expected drain_s to be a number of seconds > 0, got -1.0"),
        ({"ping_s": 0.0}, "expected ping_s"),
        ({"worker_start_s": 0.0}, "expected worker_start_s"),
        ({"worker_hang_s": 0.0}, "expected worker_hang_s"),
        ({"chunks_ms": ()}, "expected at least one chunk size, got none"),
        ({"chunks_ms": (320, 320)}, "expected chunk sizes that differ, got 320, 320"),
        ({"chunks_ms": (20,)}, "expected chunk_ms to be from 80 to 60000, got 20"),
        ({"model": Path("/does/not/exist")}, "expected model to be a folder, got /does/not/exist"),
        ({"tls_cert": Path("/x")}, "expected both tls_cert and tls_key, or neither, got one"),
        ({"auth_tokens_file": Path("/does/not")}, "expected auth_tokens_file to be a file, got /does/not"),
        ({"tls_cert": Path("/a"), "tls_key": Path("/b")}, "expected tls_cert to be a file, got /a"),
        ({"origins": ("example.org",)}, 'expected origins like "https://example.org"'),
        ({"origins": ("https://example.org/",)}, "expected origins like"),
        ({"origins": ("https://Example.org",)}, "expected origins like"),
        ({"origins": ("ftp://example.org",)}, "expected origins like"),
        ({"origins": ("https://",)}, "expected origins like"),
    ],
)
def test_what_cannot_be_served_is_refused(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Settings(**values)


def test_what_can_is_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    settings = Settings(
        model=tmp_path,
        tls_cert=file,
        tls_key=file,
        auth_tokens_file=file,
        origins=("*", "http://localhost:3000"),
        drain_s=0,
        max_streams=10,
        workers=4,
        idle_s=7,
    )
    assert settings.limits.idle_s == 7


@pytest.mark.parametrize(("workers", "slots"), [(1, 10), (2, 10), (4, 4), (5, 3)])
def test_all_streams_have_a_place_while_one_of_several_workers_is_down(workers: int, slots: int) -> None:
    assert Settings(max_streams=10, workers=workers).slots == slots
