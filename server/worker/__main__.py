"""`python -m server.worker`: an inference worker; started by the server."""

import argparse
import logging
import os
import sys
from pathlib import Path

from asr.engine_kind import EngineKind
from asr.program_cache import ProgramCache
from asr.quick_import import import_keras


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m server.worker", description=__doc__)
    parser.add_argument("--connect", required=True, help="zmq address of the server")
    parser.add_argument("--model", type=Path, default=None, help="model folder; default: the bundled model")
    parser.add_argument(
        "--chunks-ms", type=int, action="append", help="a chunk size served; repeated for more, the default first"
    )
    parser.add_argument("--slots", type=int, default=64, help="streams at most")
    parser.add_argument("--batch", type=int, default=32, help="streams in a step at most")
    parser.add_argument("--engine", type=EngineKind, default=EngineKind.auto, help="what computes the steps")
    parser.add_argument("--beam", type=int, default=None, help="hypotheses of the search; default: the model's")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once; at 2, kept programs raise false alarms
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    cache = ProgramCache.enable()  # before TensorFlow is imported
    import_keras()
    from server.worker.process import Options, serve

    try:
        chunks_ms = tuple(options.chunks_ms or [320])
        given = options.connect, options.model, chunks_ms, options.slots, options.batch, options.engine, options.beam
        serve(Options(*given), cache)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
