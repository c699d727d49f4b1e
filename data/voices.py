"""Voices of speech synthesisers, and how each is made to speak.

Programs of the system (espeak-ng, flite, festival) are called with the text on standard input or in a file, never as an
argument; neural voices (`data.neural`) run in this process. Nothing here but `installed_voices`, `speak` and what they
call touches the system.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from data import neural
from data.programs import PACKAGES, SynthesisError, program, program_output

ENGINES = (*PACKAGES, *neural.ENGINES)
# Voices of espeak-ng that are no plain human speech: whispers, robots, effects, and one for speed alone.
_ESPEAK_EFFECTS = re.compile("whisper|robo|demonic|announcer|fast|storm|croak|klatt[456]", re.IGNORECASE)
# kal is kal16 at 8 kHz; awb_time can say nothing but the time.
_FLITE_UNFIT = {"kal", "awb_time"}


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker.

    Attributes:
        engine: One of `ENGINES`.
        name: As the engine knows it; for espeak-ng "ACCENT" or "ACCENT+VARIANT".
        models: Folder of the models of neural voices.
    """

    engine: str
    name: str
    models: Path | None = None

    def __str__(self) -> str:
        """ENGINE:NAME, as on the command line."""
        return f"{self.engine}:{self.name}"

    @property
    def speaker(self) -> str:
        """Speaker id in manifests: it starts with "synth-", so that training can tell it from people."""
        return f"synth-{self.engine}-{self.name}"


@dataclass(frozen=True)
class Manner:
    """How one sentence is spoken.

    Attributes:
        rate: Tempo relative to the voice's own.
        pitch: Pitch relative to the voice's own.
    """

    rate: float = 1.0
    pitch: float = 1.0


def choose_voices(patterns: Sequence[str], models: Path | None = None) -> list[Voice]:
    """The installed voices that match.

    Args:
        patterns: Each the name of an engine, or "ENGINE:PATTERN" with the wildcards * and ?.
        models: Folder of the models of neural voices (`data.neural`).

    Returns:
        Voices in a fixed order, none twice.

    Raises:
        SynthesisError: if an engine is unknown or not installed, saying how to get it, or if a pattern matches no
            voice.
    """
    chosen: dict[Voice, None] = {}
    for pattern in patterns:
        engine, _, name = pattern.partition(":")
        if engine not in ENGINES:
            raise SynthesisError(f"unknown synthesiser {engine!r}: expected one of {', '.join(ENGINES)}")
        voices = installed_voices(engine, models)
        matching = [voice for voice in voices if fnmatchcase(voice.name, name or "*")]
        if not matching:
            known = ", ".join(voice.name for voice in voices[:8])
            raise SynthesisError(f"{engine} has no voice that matches {name!r}; it has {known}, …")
        chosen.update(dict.fromkeys(matching))
    return list(chosen)


def installed_voices(engine: str, models: Path | None = None) -> list[Voice]:
    """All English voices of an engine that are fit for training.

    Args:
        engine: One of `ENGINES`.
        models: Folder of the models of neural voices.

    Raises:
        SynthesisError: if the engine or its models are not there, saying how to get them.
    """
    if engine in neural.ENGINES:
        return [Voice(engine, name, models) for name in neural.voice_names(engine, models)]
    path = program(engine)
    if engine == "espeak-ng":
        accents = parse_espeak_voices(program_output([path, "--voices=en"]), "gmw/")
        variants = parse_espeak_voices(program_output([path, "--voices=variant"]), "!v/")
        names = [accent + tail for accent in accents for tail in ("", *(f"+{v}" for v in variants))]
    elif engine == "flite":
        listed = program_output([path, "-lv"]).partition(":")[2]
        names = sorted(set(listed.split()) - _FLITE_UNFIT)
    else:
        listed = program_output([str(Path(path).with_name("festival")), "-b", "(print (voice.list))"])
        names = sorted(re.findall(r"[\w-]+", listed))
    if not names:
        raise SynthesisError(f"{engine} has no English voice; Debian: apt-get install {PACKAGES[engine]}")
    return [Voice(engine, name) for name in names]


def parse_espeak_voices(table: str, folder: str) -> list[str]:
    """Names by which `espeak-ng -v` knows the voices of one folder in its table, sorted, without those unfit.

    Args:
        table: What `espeak-ng --voices=…` prints: priority, language, age and gender, name, file and more.
        folder: Of the voices that are wanted: "gmw/" are the accents of English, "!v/" the speakers.
    """
    rows = [line.split() for line in table.splitlines()[1:]]
    rows = [row for row in rows if len(row) >= 5 and row[4].startswith(folder)]
    # Where a sixth column is not a list in brackets, the file's name holds a space, and -v cannot take it.
    rows = [row for row in rows if len(row) == 5 or row[5].startswith("(")]
    # Variants are named by their file, accents by their language's code.
    names = {row[4].removeprefix(folder) if folder == "!v/" else row[1] for row in rows}
    return sorted(name for name in names if not _ESPEAK_EFFECTS.search(name))


def command(voice: Voice, manner: Manner, text: Path, wave: Path) -> list[str]:
    """The command line that speaks a text file into a WAV file."""
    if voice.engine == "espeak-ng":
        words_a_minute, pitch = round(175 * manner.rate), round(min(99, max(0, 50 * manner.pitch)))
        options = ["-v", voice.name, "-s", str(words_a_minute), "-p", str(pitch)]
        return ["espeak-ng", *options, "-f", str(text), "-w", str(wave)]
    if voice.engine == "flite":
        stretch = f"duration_stretch={1 / manner.rate:.3f}"
        return ["flite", "-voice", voice.name, "--setf", stretch, "-f", str(text), "-o", str(wave)]
    setting = f"(begin (voice_{voice.name}) (Parameter.set 'Duration_Stretch {1 / manner.rate:.3f}))"
    return ["text2wave", "-eval", setting, "-o", str(wave), str(text)]


def speak(voice: Voice, manner: Manner, text: Path, wave: Path) -> None:
    """Speaks a text file into a WAV file, at whatever rate the voice has.

    Raises:
        SynthesisError: if the synthesiser is missing, fails, hangs or writes nothing.
    """
    if voice.engine in neural.ENGINES:
        spoken = neural.Spoken(text.read_text(encoding="utf-8").strip(), manner.rate, manner.pitch)
        neural.speak(voice.engine, voice.name, voice.models, spoken, wave)
        return
    program(voice.engine)
    program_output(command(voice, manner, text, wave))
    if not wave.is_file() or not wave.stat().st_size:
        raise SynthesisError(f"{voice}: expected speech, got no file")
