import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from data import programs
from data.programs import SynthesisError
from data.voices import Manner, Voice, choose_voices, command, installed_voices, speak

Install = Callable[..., Path]
EVERYTHING = [
    "espeak-ng:en-gb",
    "espeak-ng:en-gb+f3",
    "espeak-ng:en-us",
    "espeak-ng:en-us+f3",
    "flite:kal16",
    "flite:slt",
    "festival:kal_diphone",
    "festival:us1",
]


def test_voices_are_listed_without_those_unfit(synthesisers: Install) -> None:
    synthesisers()
    assert [str(v) for v in choose_voices(["espeak-ng", "flite", "festival"])] == EVERYTHING


def test_patterns_choose_each_voice_once(synthesisers: Install) -> None:
    synthesisers()
    chosen = choose_voices(["espeak-ng:en-us*", "flite:slt", "espeak-ng:*+f3"])
    assert [v.name for v in chosen] == ["en-us", "en-us+f3", "slt", "en-gb+f3"]


def test_choice_of_nothing(synthesisers: Install) -> None:
    synthesisers()
    with pytest.raises(SynthesisError, match=r"flite has no voice that matches 'xy\*'; it has kal16, slt"):
        choose_voices(["flite:xy*"])
    with pytest.raises(SynthesisError, match=r"unknown synthesiser 'siri': expected one of espeak-ng, flite, festival"):
        choose_voices(["siri"])


@pytest.mark.parametrize(
    ("engine", "program", "package"),
    [
        ("espeak-ng", "espeak-ng", "espeak-ng"),
        ("flite", "flite", "flite"),
        ("festival", "text2wave", "festival festvox-kallpc16k"),
    ],
)
def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, program: str, package: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = rf"{program} is not installed; Debian: apt-get install {package}"
    with pytest.raises(SynthesisError, match=expected):
        installed_voices(engine)
    with pytest.raises(SynthesisError, match=expected):
        speak(Voice(engine, "x"), Manner(), tmp_path / "t.txt", tmp_path / "w.wav")


def test_an_engine_without_voices(synthesisers: Install) -> None:
    folder = synthesisers()
    (folder / "flite").write_text("#!/bin/sh\necho 'Voices available: kal'\n")
    with pytest.raises(SynthesisError, match=r"flite has no English voice; Debian: apt-get install flite"):
        installed_voices("flite")


def test_commands() -> None:
    text, wave = Path("t.txt"), Path("w.wav")
    manner = Manner(rate=1.25, pitch=0.8)
    espeak = command(Voice("espeak-ng", "en-us+f3"), manner, text, wave)
    assert " ".join(espeak) == "espeak-ng -v en-us+f3 -s 219 -p 40 -f t.txt -w w.wav"
    flite = command(Voice("flite", "slt"), manner, text, wave)
    assert " ".join(flite) == "flite -voice slt --setf duration_stretch=0.800 -f t.txt -o w.wav"
    festival = command(Voice("festival", "kal_diphone"), manner, text, wave)
    setting = "(begin (voice_kal_diphone) (Parameter.set 'Duration_Stretch 0.800))"
    assert festival == ["text2wave", "-eval", setting, "-o", "w.wav", "t.txt"]


def test_failures_are_told(synthesisers: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, wave = tmp_path / "t.txt", tmp_path / "w.wav"
    text.write_text("hello")
    voice = Voice("flite", "slt")
    synthesisers("print('no such voice', file=sys.stderr); sys.exit(3)")
    with pytest.raises(SynthesisError, match=r"flite: exit status 3: no such voice"):
        speak(voice, Manner(), text, wave)
    synthesisers("sys.exit(0)")
    with pytest.raises(SynthesisError, match=r"flite:slt: expected speech, got no file"):
        speak(voice, Manner(), text, wave)
    monkeypatch.setattr(programs, "_SPEAK_TIMEOUT_S", 0.05)
    synthesisers("sys.stdout.flush(); os.read(os.pipe()[0], 1)")  # waits for ever
    with pytest.raises(SynthesisError, match=r"flite: no result within 0.05 s"):
        speak(voice, Manner(), text, wave)
    (tmp_path / "bin" / "flite").write_bytes(b"\x7fELF, but no program")
    with pytest.raises(SynthesisError, match=r"flite: cannot run it: "):
        speak(voice, Manner(), text, wave)


@pytest.mark.parametrize("engine", ["espeak-ng", "flite", "festival"])
def test_the_real_programs_speak(tmp_path: Path, engine: str) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    text, wave = tmp_path / "t.txt", tmp_path / "w.wav"
    text.write_text("hello there\n")
    found = installed_voices(engine)
    assert len(found) >= (200 if engine == "espeak-ng" else 1)
    lengths = []
    for rate in (0.8, 1.25):
        speak(found[-1], Manner(rate=rate), text, wave)
        lengths.append(soundfile.info(wave).duration)
    assert 0.3 < lengths[1] < lengths[0] < 3.0
