"""`asr-server` with workers that need no model, so that the soak tests themselves can be tested."""

import argparse
import sys
from pathlib import Path

from server.app.serve import serve
from server.settings import LogFormat, Settings

FAKE_WORKER = Path(__file__).parents[1] / "server" / "fake_worker.py"


def main() -> None:
    """Takes what the soak tests give, of which a fake worker needs little."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--max-streams", type=int, default=8)
    options, _ = parser.parse_known_args()
    settings = Settings(
        port=0, workers=options.workers, max_streams=options.max_streams, session_s=1e7, log_format=LogFormat.json
    )
    slots = ["--slots", str(settings.slots)]
    sys.exit(serve(settings, lambda address: [sys.executable, str(FAKE_WORKER), "--connect", address, *slots]))


if __name__ == "__main__":
    main()
