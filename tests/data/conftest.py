"""Synthesisers that are always there: small programs under the real ones' names, ahead in PATH."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# -I -S: without site-packages the interpreter starts in some 10 ms.
PROGRAM = f"""#!{sys.executable} -IS
import math, os, struct, sys, wave
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if "--voices=en" in arguments:
    print("Pty Language Age/Gender VoiceName File Other")
    print(" 2  en-gb           --/M      English_(Great_Britain) gmw/en               (en 2)")
    print(" 5  en-us           --/M      us-mbrola-2             mb/mb-us2            (en 7)")
    print(" 2  en-us           --/M      English_(America)       gmw/en-US            (en 3)")
elif "--voices=variant" in arguments:
    print("Pty Language Age/Gender VoiceName File Other")
    print(" 5  variant         --/F      female3            !v/f3                ")
    print(" 5  variant         --/M      Mr_Serious         !v/Mr serious        ")
    print(" 5  variant         --/M      whisper            !v/whisper           ")
elif "-lv" in arguments:
    print("Voices available: kal awb_time kal16 slt ")
elif name == "festival":
    print("(kal_diphone us1)")
else:
    {{behaviour}}
    flag = "-w" if name == "espeak-ng" else "-o"
    text = open(arguments[-1] if name == "text2wave" else arguments[arguments.index("-f") + 1]).read()
    rate = 22050 if name == "espeak-ng" else 16000
    with wave.open(arguments[arguments.index(flag) + 1], "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        samples = (int({{loudness}} * math.sin(i / 9)) for i in range(rate * len(text) // 50))
        out.writeframes(b"".join(struct.pack("<h", x) for x in samples))
"""


@pytest.fixture
def synthesisers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Call it to install the programs; `behaviour` is Python that runs before one speaks."""
    folder = tmp_path / "bin"

    def install(behaviour: str = "pass", loudness: int = 9000) -> Path:
        folder.mkdir(exist_ok=True)
        for name in ("espeak-ng", "flite", "festival", "text2wave"):
            (folder / name).write_text(PROGRAM.format(behaviour=behaviour, loudness=loudness))
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return folder

    return install
