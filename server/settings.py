"""What the server is told when it starts, checked once."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from pathlib import Path

from asr.engine_kind import MAX_BEAM, PHONETIC, EngineKind
from server.session import Limits


class LogFormat(StrEnum):
    """How log lines are written."""

    json = "json"
    """One JSON object a line, for machines."""
    text = "text"
    """For people."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set; an instance is valid.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        model: Model folder; without it the worker's default, the bundled model.
        chunks_ms: Chunk sizes that sessions may ask for, in milliseconds, the default first.
        max_streams: Sessions at a time, all workers together.
        workers: Inference worker processes.
        batch: Streams computed at a time, at most, in each worker.
        engine: What computes the steps.
        beam: Hypotheses of the search; 1: greedy; 0: the phonetic search; None: as the model folder says.
        auth_tokens_file: File of the tokens that are admitted (see `server.app.auth`); without it everybody is.
        streams_per_token: Sessions that one token may have at a time; 0 for no limit but `max_streams`.
        origins: Origins of browser pages that are admitted, "*" for all; when empty, the server's own.
        tls_cert: Certificate chain, PEM; `tls_key` goes with it.
        tls_key: Private key, PEM.
        log_format: How log lines are written.
        idle_s: Seconds without audio or message after which a session ends.
        session_s: Seconds that a session may last.
        resume_s: Seconds that a session waits for its client to come back.
        drain_s: Seconds that open sessions get to finish when the server is stopped.
        backlog_s: Seconds of audio that may wait for recognition.
        events: Events that may wait for a slow reader.
        frame_bytes: Longest binary frame, in bytes.
        ping_s: Seconds between websocket pings, and those that the answer may take.
        worker_start_s: Seconds that a worker may take to load and compile.
        worker_hang_s: Seconds without an answer after which a busy worker is taken for hung.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    model: Path | None = None
    chunks_ms: tuple[int, ...] = (320, 640)
    max_streams: int = 64
    workers: int = 1
    batch: int = 32
    engine: EngineKind = EngineKind.auto
    beam: int | None = None
    auth_tokens_file: Path | None = None
    streams_per_token: int = 0
    origins: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_format: LogFormat = LogFormat.text
    idle_s: float = Limits.idle_s
    session_s: float = Limits.session_s
    resume_s: float = Limits.resume_s
    drain_s: float = 30.0
    backlog_s: float = Limits.backlog_s
    events: int = Limits.events
    frame_bytes: int = Limits.frame_bytes
    ping_s: float = 20.0
    worker_start_s: float = 600.0
    worker_hang_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what cannot be served.

        Raises:
            ValueError: a value is out of range, or two do not go together; the text names the setting.
        """
        self._check_ranges()
        self._check_chunks()
        self._check_files()
        for origin in self.origins:
            _check_origin(origin)

    @property
    def slots(self) -> int:
        """Streams that each worker must hold, so that all have a place even while one of several workers is down."""
        running = max(1, self.workers - 1)
        return -(-self.max_streams // running)

    @property
    def limits(self) -> Limits:
        """Bounds of each session."""
        return Limits(
            idle_s=self.idle_s,
            session_s=self.session_s,
            resume_s=self.resume_s,
            worker_s=self.worker_start_s,
            backlog_s=self.backlog_s,
            events=self.events,
            frame_bytes=self.frame_bytes,
        )

    def _check_ranges(self) -> None:
        """Refuse numbers out of range."""
        if not self.host:
            raise ValueError("expected host to be an address, got an empty text")
        _check_int("port", self.port, 0, 65_535)
        _check_int("max_streams", self.max_streams, 1, 100_000)
        _check_int("workers", self.workers, 1, 256)
        _check_int("batch", self.batch, 1, 4096)
        if self.beam is not None:
            _check_int("beam", self.beam, PHONETIC, MAX_BEAM)
        _check_int("streams_per_token", self.streams_per_token, 0, 100_000)
        _check_int("events", self.events, 16, 1_000_000)
        _check_int("frame_bytes", self.frame_bytes, 1024, 64 * 1024 * 1024)
        if self.max_streams < self.workers:
            raise ValueError(f"expected max_streams >= workers ({self.workers}), got {self.max_streams}")
        for name in ("idle_s", "session_s", "resume_s", "backlog_s", "ping_s", "worker_start_s", "worker_hang_s"):
            _check_seconds(name, getattr(self, name))
        if self.drain_s:  # 0: do not wait
            _check_seconds("drain_s", self.drain_s)

    def _check_chunks(self) -> None:
        """Refuse chunk sizes that no session could ask for."""
        if not self.chunks_ms:
            raise ValueError("expected at least one chunk size, got none")
        if len(set(self.chunks_ms)) < len(self.chunks_ms):
            raise ValueError(f"expected chunk sizes that differ, got {', '.join(map(str, self.chunks_ms))}")
        for chunk_ms in self.chunks_ms:
            _check_int("chunk_ms", chunk_ms, 80, 60_000)

    def _check_files(self) -> None:
        """Refuse files that are not there, before anything is started."""
        if self.model is not None and not self.model.is_dir():
            raise ValueError(f"expected model to be a folder, got {self.model}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("expected both tls_cert and tls_key, or neither, got one")
        for name in ("auth_tokens_file", "tls_cert", "tls_key"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"expected {name} to be a file, got {path}")


def _check_int(name: str, value: int, lower: int, upper: int) -> None:
    """Refuse a whole number out of range."""
    if not lower <= value <= upper:
        raise ValueError(f"expected {name} to be from {lower} to {upper}, got {value}")


def _check_seconds(name: str, value: float) -> None:
    """Refuse a duration that is none."""
    if not isfinite(value) or value <= 0:
        raise ValueError(f"expected {name} to be a number of seconds > 0, got {value}")


def _check_origin(origin: str) -> None:
    """Refuse what no browser would send as its `Origin` header (RFC 6454 section 6.2)."""
    scheme, separator, authority = origin.partition("://")
    wrong = not separator or scheme not in ("http", "https") or not authority or "/" in authority
    if origin != "*" and (wrong or origin != origin.lower()):
        raise ValueError(f'expected origins like "https://example.org", in lower case, or "*", got "{origin}"')
