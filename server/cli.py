"""The `asr-server` command: every flag can also come from the environment, as `EARSHOT_…`."""

import dataclasses
import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from asr.engine_kind import EngineKind
from server.settings import LogFormat, Settings

PREFIX = "EARSHOT_"
OTHERS = ("EARSHOT_URL", "EARSHOT_TOKEN", "EARSHOT_CACHE")
"""Variables that are not the server's."""

CHUNKS_MS, ORIGINS = list(Settings.chunks_ms), list(Settings.origins)  # typer wants lists

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def option(help: str, name: str, panel: str = "Serving") -> Any:
    """A flag, which the environment may give too."""
    return typer.Option(
        f"--{name}", help=help, envvar=PREFIX + name.replace("-", "_").upper(), rich_help_panel=panel, show_default=True
    )


def file(help: str, name: str, panel: str = "Access") -> Any:
    """A flag for a file."""
    return option(help, name, panel)


@app.command(help="Serves streaming speech recognition over websockets.")
def serve(
    host: Annotated[str, option("Address to listen on.", "host")] = Settings.host,
    port: Annotated[int, option("Port to listen on; 0 takes a free one.", "port")] = Settings.port,
    model: Annotated[Path | None, option("Model folder; default: the bundled model.", "model")] = Settings.model,
    chunk_ms: Annotated[
        list[int], option("Chunk size that sessions may ask for, the default first; repeat it.", "chunk-ms")
    ] = CHUNKS_MS,
    max_streams: Annotated[int, option("Sessions at a time.", "max-streams")] = Settings.max_streams,
    workers: Annotated[int, option("Inference processes.", "workers")] = Settings.workers,
    batch: Annotated[int, option("Most streams computed at a time, per process.", "batch")] = Settings.batch,
    engine: Annotated[EngineKind, option("What computes: docs/engines.md.", "engine")] = Settings.engine,
    beam: Annotated[
        int | None, option("Hypotheses of the search; 1: greedy; 0: the phonetic search; default: the model's.", "beam")
    ] = Settings.beam,
    log_format: Annotated[LogFormat, option("For machines or for people.", "log-format")] = Settings.log_format,
    auth_tokens_file: Annotated[
        Path | None, file("Names and SHA-256 of the tokens that are admitted.", "auth-tokens-file")
    ] = Settings.auth_tokens_file,
    streams_per_token: Annotated[
        int, option("Sessions at a time with one token; 0: no limit.", "streams-per-token", "Access")
    ] = Settings.streams_per_token,
    origins: Annotated[
        list[str], option('Origin of pages that are admitted, "*" for all; repeat it.', "origins", "Access")
    ] = ORIGINS,
    tls_cert: Annotated[Path | None, file("Certificate chain, PEM.", "tls-cert")] = Settings.tls_cert,
    tls_key: Annotated[Path | None, file("Private key, PEM.", "tls-key")] = Settings.tls_key,
    idle_s: Annotated[float, option("Silence that ends a session, s.", "idle-s", "Limits")] = Settings.idle_s,
    session_s: Annotated[float, option("Longest session, s.", "session-s", "Limits")] = Settings.session_s,
    resume_s: Annotated[float, option("Time for a client to come back, s.", "resume-s", "Limits")] = Settings.resume_s,
    drain_s: Annotated[
        float, option("Time for sessions to end when the server stops, s.", "drain-s", "Limits")
    ] = Settings.drain_s,
    backlog_s: Annotated[
        float, option("Audio that may wait for recognition, s.", "backlog-s", "Limits")
    ] = Settings.backlog_s,
    events: Annotated[int, option("Events that may wait for a slow reader.", "events", "Limits")] = Settings.events,
    frame_bytes: Annotated[int, option("Longest audio frame, bytes.", "frame-bytes", "Limits")] = Settings.frame_bytes,
    ping_s: Annotated[float, option("Between websocket pings, s.", "ping-s", "Limits")] = Settings.ping_s,
    worker_start_s: Annotated[
        float, option("For loading and compiling, s.", "worker-start-s", "Limits")
    ] = Settings.worker_start_s,
    worker_hang_s: Annotated[
        float, option("Silence of a busy worker that is taken for hung, s.", "worker-hang-s", "Limits")
    ] = Settings.worker_hang_s,
) -> None:
    """Read the settings and serve; the parameters are those of `Settings`."""
    values = dict(locals())
    values["chunks_ms"] = tuple(values.pop("chunk_ms"))
    values["origins"] = tuple(origins)
    for warning in unknown_variables(os.environ):
        print(warning, file=sys.stderr)
    from server.app.serve import serve as run

    try:
        status = run(Settings(**values))
    except (ValueError, OSError) as error:
        print(f"asr-server: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    raise typer.Exit(status)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Warnings about variables that look like settings and are none.

    No more than warnings: Kubernetes sets some of that kind itself for a service that is called earshot.
    """
    known = {PREFIX + field.name.replace("chunks_ms", "chunk_ms").upper() for field in dataclasses.fields(Settings)}
    warnings = []
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in known and variable not in OTHERS:
            close = difflib.get_close_matches(variable, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            warnings.append(f"asr-server: {variable} is not a setting and is ignored{hint}")
    return warnings


def main() -> None:
    """Run the command."""
    app()
