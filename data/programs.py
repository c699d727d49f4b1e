"""Speech synthesisers that are programs of the system: where they are, and what they print."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

PACKAGES = {"espeak-ng": "espeak-ng", "flite": "flite", "festival": "festival festvox-kallpc16k"}  # Debian's
_PROGRAMS = {"espeak-ng": "espeak-ng", "flite": "flite", "festival": "text2wave"}
_SPEAK_TIMEOUT_S = 120


class SynthesisError(ValueError):
    """A synthesiser or a voice is missing, or failed."""


def program(engine: str) -> str:
    """Path of an engine's program; raises SynthesisError, saying how to get it, where it is missing."""
    program = shutil.which(_PROGRAMS[engine])
    if program is None:
        name = _PROGRAMS[engine]
        raise SynthesisError(f"{name} is not installed; Debian: apt-get install {PACKAGES[engine]}")
    return program


def ipa(text: str, voice: str, *options: str) -> list[str]:
    """Lines of the International Phonetic Alphabet in which espeak-ng says a text.

    Args:
        text: Given in a file.
        voice: Whose accent it is.
        options: More of espeak-ng's, such as "--sep=_".

    Raises:
        SynthesisError: if espeak-ng is missing, fails or hangs.
    """
    program("espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        path.write_text(text, encoding="utf-8")
        return program_output(["espeak-ng", "-q", "--ipa", *options, "-v", voice, "-f", str(path)]).splitlines()


def program_output(arguments: Sequence[str]) -> str:
    """What a synthesiser prints.

    Raises:
        SynthesisError: if it cannot be run, fails or hangs.
    """
    try:
        result = subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_SPEAK_TIMEOUT_S,
        )
    except OSError as error:
        raise SynthesisError(f"{arguments[0]}: cannot run it: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SynthesisError(f"{arguments[0]}: no result within {_SPEAK_TIMEOUT_S} s") from error
    if result.returncode:
        said = " ".join(result.stderr.split())[-200:]
        raise SynthesisError(f"{arguments[0]}: exit status {result.returncode}: {said}")
    return result.stdout
