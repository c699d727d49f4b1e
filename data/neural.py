"""Neural voices: hibari, Kokoro and Piper, run by ONNX Runtime in this process (the extra `voices`).

hibari's package holds one American voice, of which formants and pitch make many speakers. Kokoro and Piper are models
in a folder of the user's: `kokoro*.onnx` (Kokoro-82M as kokoro-onnx exports it) with `voices/*.bin` beside it (one
style a voice, as kokoro.js has them), and Piper's voices, `NAME.onnx` with `NAME.onnx.json`.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data.audio import SAMPLE_RATE
from data.onnx import library, open_model
from data.programs import SynthesisError, ipa

ENGINES = ("hibari", "kokoro", "piper")
FORMANTS = tuple(round(0.80 + 0.02 * i, 2) for i in range(18))  # of hibari's speakers, relative to its own
# A longer vocal tract goes with longer vocal folds: between women and men formants differ by a sixth, pitch by
# three quarters of an octave (Peterson & Barney 1952).
PITCH_OF_FORMANTS = 2.5
_HIBARI_RATE, _KOKORO_RATE = 24_000, 24_000
_VOICED_HZ = 40.0  # hibari's F0 below this means that the frame is unvoiced
_KOKORO_ENGLISH = ("af_", "am_", "bf_", "bm_")  # American and British women and men
_KOKORO_UNFIT = {"af_nicole"}  # whispers
_KOKORO_PHONEMES = 500  # the most that one call says
_PIPER_NOISE, _PIPER_NOISE_OF_LENGTHS = 0.667, 0.8  # Piper's own


@dataclass(frozen=True)
class Spoken:
    """What is said and how: normalised text, tempo and pitch relative to the voice's own."""

    text: str
    rate: float = 1.0
    pitch: float = 1.0


def voice_names(engine: str, models: Path | None) -> list[str]:
    """Names of an engine's English voices.

    "heart@0.84" is hibari's voice with formants of 0.84 times its own; "af_sky+bm_lewis" is half of either voice of
    Kokoro's; Piper's are named by their files.

    Raises:
        SynthesisError: if the package or the models are missing, saying how to get them.
    """
    library("onnxruntime")
    if engine != "piper":  # whose phonemes are espeak-ng's
        library("hibari")
    if engine == "hibari":
        return [f"heart@{factor:.2f}" for factor in FORMANTS]
    if models is None:
        raise SynthesisError(f"{engine}: expected a folder of its models (--voice-models), got none")
    if engine == "kokoro":
        _kokoro_model(models)
        files = sorted(path.stem for path in (models / "voices").glob("*.bin"))
        names = [name for name in files if name.startswith(_KOKORO_ENGLISH) and name not in _KOKORO_UNFIT]
        names += [f"{one}+{other}" for one, other in combinations(names, 2)]
    else:
        names = sorted(path.stem for path in models.glob("*.onnx") if path.with_suffix(".onnx.json").exists())
    if not names:
        expected = "voices/*.bin of English voices" if engine == "kokoro" else "NAME.onnx with NAME.onnx.json"
        raise SynthesisError(f"{models}: expected {expected} for {engine}, found none")
    return names


def speak(engine: str, name: str, models: Path | None, spoken: Spoken, wave: Path) -> None:
    """Speaks a sentence into a WAV file of 16 kHz.

    Raises:
        SynthesisError: if the voice is missing or fails.
    """
    try:
        if engine == "hibari":
            samples = _hibari(float(name.partition("@")[2]), spoken)
        elif engine == "kokoro":
            samples = _kokoro(name, _folder(models), spoken)
        else:
            samples = _piper(name, _folder(models), spoken)
    except SynthesisError:
        raise
    except Exception as error:  # those of ONNX Runtime, whatever is wrong with a model, have no base but this
        raise SynthesisError(f"{engine}:{name}: {type(error).__name__}: {error}") from error
    finite = int(np.isfinite(samples).sum())
    if not len(samples) or finite < len(samples):
        raise SynthesisError(f"{engine}:{name}: expected speech, got {len(samples)} samples, {finite} of them numbers")
    soundfile.write(wave, np.clip(samples, -1.0, 1.0), SAMPLE_RATE)


def _hibari(formants: float, spoken: Spoken) -> NDArray[np.float32]:
    """Played at another rate, a voice has other formants, pitch and tempo: the last two are put right before."""
    dsp = library("hibari.dsp")
    voice = _hibari_voice()
    rate = min(2.0, max(0.5, spoken.rate / formants))
    pitch = spoken.pitch * formants ** (PITCH_OF_FORMANTS - 1.0)
    parts = []
    for phonemes in voice.phonemize(_prose(spoken.text)):
        inputs = {"ids": np.asarray([voice.ids(phonemes)], np.int64), "speed": np.asarray([rate], np.float32)}
        *spectra, f0 = (output[0] for output in voice.sess.run(None, inputs))
        f0 = np.where(f0 > _VOICED_HZ, f0 * pitch, f0).astype(np.float32)
        # The noise in breath and fricatives depends on the sentence alone, so that a run can be repeated.
        parts.append(dsp.synth(*spectra, f0, np.random.default_rng(len(phonemes))))
    return _at_our_rate(np.concatenate([np.zeros(0, np.float32), *parts]), _HIBARI_RATE * formants)


def _kokoro(name: str, models: Path, spoken: Spoken) -> NDArray[np.float32]:
    session = open_model(_kokoro_model(models))
    voice = _hibari_voice()  # for its phonemes, which are those that it learnt from Kokoro
    ids = [i for phonemes in voice.phonemize(_prose(spoken.text)) for i in voice.ids(phonemes)[1:-1]]
    if len(ids) > _KOKORO_PHONEMES:  # its end would be missing, and the transcript would have it
        raise SynthesisError(f"kokoro: expected a sentence of at most {_KOKORO_PHONEMES} phonemes, got {len(ids)}")
    styles = [_kokoro_style(models / "voices" / f"{part}.bin") for part in name.split("+")]
    style = np.mean([s[min(len(ids), len(s)) - 1] for s in styles], axis=0, dtype=np.float32, keepdims=True)
    speed = np.array([spoken.rate], np.float32)
    inputs = {"tokens": np.array([[0, *ids, 0]], np.int64), "style": style, "speed": speed}
    return _at_our_rate(session.run(None, inputs)[0].ravel(), _KOKORO_RATE)


def _piper(name: str, models: Path, spoken: Spoken) -> NDArray[np.float32]:
    path = models / f"{name}.onnx"
    settings = json.loads(path.with_suffix(".onnx.json").read_text(encoding="utf-8"))
    ids_of = settings["phoneme_id_map"]
    said = " ".join(line.strip() for line in ipa(_prose(spoken.text), settings["espeak"]["voice"]))
    ids = [*ids_of["^"], *ids_of["_"]]
    for phoneme in [*said, "."]:
        if phoneme in ids_of:
            ids += [*ids_of[phoneme], *ids_of["_"]]
    ids += ids_of["$"]
    scales = np.array([_PIPER_NOISE, 1.0 / spoken.rate, _PIPER_NOISE_OF_LENGTHS], np.float32)
    inputs = {"input": np.array([ids], np.int64), "input_lengths": np.array([len(ids)], np.int64), "scales": scales}
    return _at_our_rate(open_model(path).run(None, inputs)[0].ravel(), settings["audio"]["sample_rate"])


def _prose(text: str) -> str:
    """A normalised sentence with the signs that a voice reads: a capital I, and a full stop."""
    return " ".join("I" + word[1:] if word == "i" or word.startswith("i'") else word for word in text.split()) + "."


def _at_our_rate(samples: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)


def _folder(models: Path | None) -> Path:
    if models is None:
        raise SynthesisError("expected a folder of the voice's models, got none")
    return models


def _kokoro_model(models: Path) -> Path:
    found = sorted(models.glob("kokoro*.onnx"))
    if not found:
        raise SynthesisError(f"{models}: expected Kokoro's model, kokoro*.onnx, found none")
    return found[0]


@lru_cache(maxsize=64)
def _kokoro_style(path: Path) -> NDArray[np.float32]:
    """[n, 256]: row i is the style of a sentence of i + 1 phonemes."""
    return np.fromfile(path, np.float32).reshape(-1, 256)


@lru_cache(maxsize=1)
def _hibari_voice() -> Any:
    return library("hibari").Hibari()
