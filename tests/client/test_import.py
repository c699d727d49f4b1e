"""`import client` is cheap: a program that may want to recognise pays when it does."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = "asr data tensorflow keras jax numpy scipy sounddevice soundfile soxr msgspec websockets asyncio rich typer"
PROGRAM = """
import sys, time
started = time.process_time()
import client
seconds = time.process_time() - started
print([name for name in sys.argv[1].split() if name in sys.modules])
assert seconds < 0.3, seconds
from client import connect
print([name for name in ("asr", "data", "tensorflow", "keras", "jax", "scipy") if name in sys.modules])
"""


def test_nothing_heavy_is_imported_and_never_the_model() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, HEAVY], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n[]\n"
