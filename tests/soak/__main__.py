"""`python -m tests.soak`: hours of faults and load against a server of its own. See `make soak`."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.soak.faults import drops, kills
from tests.soak.memory import day, sessions
from tests.soak.playing import recordings
from tests.soak.service import Service

COMMON = ["--max-streams", "32", "--batch", "4", "--chunk-ms", "320"]
SERVER: dict[str, list[str]] = {
    "kills": COMMON,
    "drops": COMMON,
    "sessions": COMMON,
    "day": ["--max-streams", "1", "--batch", "1", "--session-s", "1e7"],
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="|".join(SERVER), help="default: everything")
    parser.add_argument("--runs", type=int, default=50, help="of kills and of drops")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=24.0, help="of the simulated day")
    parser.add_argument("--chunk-ms", type=int, default=640, help="of the simulated day; longer ones are faster")
    parser.add_argument("--workers", type=int, default=1, help="of the server whose workers are killed")
    parser.add_argument("--recordings", type=int, help="of the bundled ones; default: all")
    parser.add_argument("--output", type=Path, default=Path("soak"), help="folder of the results, as JSON")
    parser.add_argument("--program", default="server", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.what = options.what or list(SERVER)
    unknown = sorted(set(options.what) - set(SERVER))
    if unknown:
        parser.error(f"expected some of {', '.join(SERVER)}, got {', '.join(unknown)}")
    return options


async def soak(options: argparse.Namespace) -> bool:
    """Runs what is asked for, a server for each; one line each, and a file of JSON.

    Returns:
        Whether everything was as it should be.
    """
    audio, good = recordings(options.recordings), True
    options.output.mkdir(parents=True, exist_ok=True)
    for what in options.what:
        result = await _run(what, options, audio)
        print(f"{what}: {json.dumps(result)}", flush=True)
        (options.output / f"{what}.json").write_text(json.dumps(result, indent=1) + "\n")
        good = good and not any(result.get(fault) for fault in ("different", "leaks", "restarted"))
    return good


async def _run(what: str, options: argparse.Namespace, audio: list[bytes]) -> dict[str, Any]:
    """Runs one of them."""
    if what == "kills":
        server = [*SERVER[what], "--workers", str(options.workers)]
        return await kills(lambda: Service(server, options.program), audio, options.runs)
    chunk = ["--chunk-ms", str(options.chunk_ms)] if what == "day" else []
    async with Service([*SERVER[what], *chunk], options.program) as service:
        if what == "drops":
            return await drops(service, audio, options.runs)
        if what == "sessions":
            return await sessions(service, audio, options.sessions)
        return await day(service, audio, options.hours)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(soak(parse())) else 1)
