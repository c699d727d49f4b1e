"""The `asr-client` command: listen, transcribe, demo, bench."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from client.bench.pacing import Pacing
from client.errors import EarshotError
from client.formats import Format

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Speech to text from a server."
)

UrlOption = Annotated[
    str, typer.Option("--url", envvar="EARSHOT_URL", help="Server, such as ws://localhost:8080 or https://host.")
]
TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="EARSHOT_TOKEN", help="Bearer token.", show_envvar=True)
]
ChunkOption = Annotated[
    int | None, typer.Option("--chunk-ms", min=1, help="Audio recognised at a time; default: the server's.")
]
PhraseOption = Annotated[
    list[str] | None, typer.Option("--phrase", help="A name or term to listen for; may be repeated.")
]
SilenceOption = Annotated[int, typer.Option("--silence-ms", min=80, max=10_000, help="Silence that ends a segment.")]

DEFAULT_URL = "ws://localhost:8080"


@app.command()
def listen(
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    device: Annotated[str | None, typer.Option(help="Microphone: number, or part of its name.")] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Show the microphones and exit.")] = False,
    chunk_ms: ChunkOption = None,
    phrase: PhraseOption = None,
    silence_ms: SilenceOption = 800,
) -> None:
    """Shows what you say while you say it. Ctrl-C ends and prints the transcript."""
    from client.listen_command import listen_command, print_devices

    if list_devices:
        print_devices()
        return
    options = {"token": token, "chunk_ms": chunk_ms, "phrases": phrase or [], "silence_ms": silence_ms}
    chosen = int(device) if device is not None and device.isdecimal() else device
    raise typer.Exit(asyncio.run(listen_command(url, chosen, options)))


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files of any kind.")],
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.text,
    output: Annotated[Path | None, typer.Option(help="Folder of the results; default: standard output.")] = None,
    real_time: Annotated[bool, typer.Option("--real-time", help="Send as fast as it was spoken.")] = False,
    streams: Annotated[int, typer.Option(min=1, max=256, help="Files at a time.")] = 4,
    chunk_ms: ChunkOption = None,
    phrase: PhraseOption = None,
    silence_ms: SilenceOption = 800,
) -> None:
    """Turns recordings into text. Exit code 1 if a file failed; the others are done all the same."""
    from client.backoff import Backoff
    from client.batch import BatchOptions, transcribe_files

    session: dict[str, Any] = {
        "token": token,
        "chunk_ms": chunk_ms,
        "phrases": phrase or [],
        "silence_ms": silence_ms,
        "real_time": real_time,
        "words": format is not Format.text,
    }
    options = BatchOptions(url, format, output, streams, session, Backoff())
    failed = asyncio.run(transcribe_files(files, options, Console(stderr=True)))
    raise typer.Exit(1 if failed else 0)


@app.command()
def demo(
    url: Annotated[str | None, typer.Option("--url", help="Server; default: one that the demo starts.")] = None,
    chunk_ms: Annotated[int, typer.Option("--chunk-ms", min=1, help="Audio recognised at a time.")] = 640,
    fast: Annotated[bool, typer.Option("--fast", help="As fast as the server takes it, not in real time.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Recordings to play.")] = None,
) -> None:
    """Streams bundled recordings of real speech to a server, words live, and shows what was said under each."""
    from client.demo import demo as run_demo
    from client.demo import read_samples

    asyncio.run(run_demo(url, read_samples(limit=limit), chunk_ms, not fast, Console()))


@app.command()
def bench(
    audio: Annotated[
        list[Path], typer.Option("--audio", help="A recording, or a manifest (.jsonl) with references; repeat it.")
    ],
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    streams: Annotated[str, typer.Option(help="Numbers of streams to try, such as 1,8,32.")] = "1",
    pace: Annotated[Pacing, typer.Option(help="As it is spoken, or as fast as the server takes it.")] = Pacing.realtime,
    duration: Annotated[float, typer.Option(min=0, help="Seconds to measure, for each number.")] = 30.0,
    largest: Annotated[bool, typer.Option("--largest", help="Search the largest number that is held.")] = False,
    target_ms: Annotated[float, typer.Option(min=1, help="The search's limit for p99, ms.")] = 500.0,
    chunk_ms: ChunkOption = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the results there, - for stdout.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw latencies there; needs matplotlib.")] = None,
) -> None:
    """Measures latency with many streams. Exit code 1 if a stream failed."""
    from client.address import stream_url
    from client.bench.command import BenchOptions, bench_command, parse_streams
    from client.bench.stream import Target

    options = BenchOptions(parse_streams(streams), duration, target_ms if largest else None, json, plot)
    target = Target(stream_url(url), token, chunk_ms, pace)
    failed = asyncio.run(bench_command(target, audio, options))
    raise typer.Exit(1 if failed else 0)


def fail(message: str) -> NoReturn:
    """Tells the user what is wrong, without a traceback, and exits with 2."""
    Console(stderr=True).print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


def main() -> None:
    """Entry point: user errors become one line and exit code 2."""
    try:
        app()
    except (EarshotError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
