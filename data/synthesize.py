"""Synthetic speech: sentences of a text file, each spoken by one of many voices, at a random tempo and pitch.

What is made depends on the text, the voices and the seed alone: sentence i of a run is always spoken in the
same way. A run that was stopped goes on where it was, and one with a higher count adds to what is there.
"""

import hashlib
import itertools
import json
import lzma
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from data import augment
from data.audio import SAMPLE_RATE, AudioError, audio_seconds, load_audio
from data.manifest import Utterance, write_manifest
from data.programs import SynthesisError
from data.text import TextError, normalise
from data.voices import Manner, Voice, choose_voices, speak

FORMATS = {"flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "OPUS")}  # suffix: libsndfile's format and subtype
RATES = (0.85, 1.2)  # tempo, relative to the voice's own
PITCHES = (0.6, 1.4)  # of espeak-ng's scale, whose whole range is about an octave
# Other engines' pitch is set by resampling, which moves the spectrum too: so much of PITCHES is natural.
RESAMPLED_PITCH = 0.25
FAILURES_IN_A_ROW = 20  # after which a run gives up
SETTINGS_FILE = "synthesis.json"


@dataclass(frozen=True)
class SynthesisConfig:
    """What to synthesise.

    Attributes:
        voices: Patterns of voices, see `data.voices.choose_voices`.
        models: Folder of the models of neural voices.
        count: Utterances; above the number of sentences, sentences come again with other voices.
        seed: Of the choice of sentences, voices, tempo and pitch.
        format: "flac" or "ogg" (Opus).
        split: Of the utterances.
        max_words: Longer sentences are left out.
    """

    voices: tuple[str, ...] = ("espeak-ng", "flite", "festival")
    models: Path | None = None
    count: int = 1000
    seed: int = 1
    format: str = "flac"
    split: str = "train-synthetic"
    max_words: int = 40

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("count", "max_words"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if self.format not in FORMATS:
            raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {self.format!r}")
        if not self.voices or not self.split:
            raise ValueError("expected at least one voice and a split's name")


@dataclass(frozen=True)
class Task:
    """One utterance to be made: what is said, by whom, how, and where it is written."""

    id: str
    text: str
    voice: Voice
    manner: Manner
    audio: Path


@dataclass(frozen=True)
class Rendered:
    """A task's audio: its length, and whether it was made now or was there already."""

    seconds: float
    new: bool


@dataclass(frozen=True)
class Summary:
    """What a run did: utterances made now, utterances in the manifest, and what failed."""

    made: int
    total: int
    failures: tuple[str, ...]


def synthesize(
    text: Path,
    output: Path,
    config: SynthesisConfig,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Speaks a text file's sentences into `output`/audio and describes them in `output`/manifest.jsonl.

    Args:
        text: One sentence a line; .xz is read as it is.
        output: Folder, made if missing. What an earlier run with the same settings made is kept.
        config: What to make.
        jobs: Synthesisers running at once.
        progress: Called with (done, total).

    Returns:
        What was done. Sentences that failed are not in the manifest; the next run tries them again.

    Raises:
        SynthesisError: if the text has no sentences, a voice or program is missing (saying how to get it), the folder
            holds a run with other settings, or nothing works.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected a number above 0, got {jobs}")
    voices = choose_voices(config.voices, config.models)
    sentences = read_sentences(text, config.max_words)
    output.mkdir(parents=True, exist_ok=True)
    _claim(output / SETTINGS_FILE, sentences, voices, config)
    utterances: list[Utterance] = []
    failures: list[str] = []
    made = failed_in_a_row = 0
    tasks = plan(sentences, voices, config, output)
    for done, (task, result) in enumerate(_rendered(tasks, jobs), start=1):
        if isinstance(result, Rendered):
            utterances.append(_utterance(task, result, config.split))
            made, failed_in_a_row = made + result.new, 0
        else:
            failures.append(f"{task.id}: {result}")
            failed_in_a_row += 1
        if failed_in_a_row == min(FAILURES_IN_A_ROW, config.count):
            raise SynthesisError(f"{failed_in_a_row} utterances failed in a row, the last: {result}")
        progress(done, config.count)
    write_manifest(output / "manifest.jsonl", utterances)
    return Summary(made, len(utterances), tuple(failures))


def _utterance(task: Task, rendered: Rendered, split: str) -> Utterance:
    return Utterance(
        id=task.id,
        audio=str(task.audio),
        seconds=round(rendered.seconds, 3),
        speaker=task.voice.speaker,
        text=task.text,
        split=split,
    )


def read_sentences(path: Path, max_words: int) -> list[str]:
    """Normalised sentences of a text file, one a line, xz-compressed or not.

    Raises:
        SynthesisError: naming file and line, if it cannot be read, or has no sentence of at most `max_words`
            words.
    """
    sentences = []
    try:
        contents = path.read_bytes()
        contents = lzma.decompress(contents) if path.suffix == ".xz" else contents
    except (OSError, lzma.LZMAError) as error:
        raise SynthesisError(f"{path}: cannot read it: {error}") from error
    for number, line in enumerate(contents.split(b"\n"), start=1):
        try:
            sentence = normalise(line.decode("utf-8"))
        except (UnicodeDecodeError, TextError) as error:
            raise SynthesisError(f"{path}:{number}: {error}") from error
        if sentence and sentence.count(" ") < max_words:
            sentences.append(sentence)
    if not sentences:
        raise SynthesisError(f"{path}: expected sentences of at most {max_words} words, found none")
    return sentences


def plan(sentences: Sequence[str], voices: Sequence[Voice], config: SynthesisConfig, output: Path) -> Iterator[Task]:
    """The utterances of a run, in order; a longer run begins with those of a shorter one.

    Sentences are drawn without repetition as far as they go. An engine is drawn by the square root of its
    number of voices, so that espeak-ng's hundreds do not drown the few of the others, then one of its voices.
    """
    engines = dict.fromkeys(voice.engine for voice in voices)
    by_engine = [[voice for voice in voices if voice.engine == engine] for engine in engines]
    weights = np.sqrt([len(group) for group in by_engine])
    order = np.random.default_rng(config.seed).permutation(len(sentences))
    for i in range(config.count):
        rng = np.random.default_rng((config.seed, i))
        group = by_engine[int(rng.choice(len(by_engine), p=weights / weights.sum()))]
        voice = group[int(rng.integers(len(group)))]
        manner = Manner(rate=float(rng.uniform(*RATES)), pitch=float(rng.uniform(*PITCHES)))
        name = f"synth-{config.seed}-{i:07d}"
        audio = output / "audio" / f"{i // 1000:04d}" / f"{name}.{config.format}"
        yield Task(name, sentences[order[i % len(order)]], voice, manner, audio)


def render(task: Task) -> Rendered:
    """Makes one utterance, unless it is there already.

    Raises:
        SynthesisError: if the synthesiser fails.
    """
    if task.audio.exists():  # it is whole: it got its name when it was
        return Rendered(audio_seconds(task.audio), new=False)
    with tempfile.TemporaryDirectory() as folder:
        text, wave = Path(folder, "text.txt"), Path(folder, "speech.wav")
        text.write_text(f"{task.text}\n", encoding="utf-8")
        speak(task.voice, task.manner, text, wave)
        try:
            samples = load_audio(wave)
        except AudioError as error:
            raise SynthesisError(f"{task.voice}: {error}") from error
    if task.voice.engine != "espeak-ng":
        samples = augment.speed(samples, 1.0 + RESAMPLED_PITCH * (task.manner.pitch - 1.0))
    if not np.any(samples):
        raise SynthesisError(f"{task.voice}: expected speech, got silence")
    task.audio.parent.mkdir(parents=True, exist_ok=True)
    format, subtype = FORMATS[task.audio.suffix[1:]]
    partial = task.audio.with_suffix(f".{os.getpid()}.tmp")
    try:
        soundfile.write(partial, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format=format, subtype=subtype)
        partial.replace(task.audio)
    finally:
        partial.unlink(missing_ok=True)
    return Rendered(len(samples) / SAMPLE_RATE, new=True)


def _rendered(tasks: Iterator[Task], jobs: int) -> Iterator[tuple[Task, Rendered | SynthesisError]]:
    """Renders tasks some at a time, so that a run that gives up does not finish its whole plan first."""
    with ThreadPoolExecutor(jobs) as pool:  # threads: the work is done by processes that they start
        while portion := list(itertools.islice(tasks, 8 * jobs)):
            yield from zip(portion, pool.map(_attempt, portion), strict=True)


def _attempt(task: Task) -> Rendered | SynthesisError:
    try:
        return render(task)
    except SynthesisError as error:
        return error


def _claim(path: Path, sentences: Sequence[str], voices: Sequence[Voice], config: SynthesisConfig) -> None:
    """Writes down what determines the utterances, or checks that it is what is written there."""
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    names = [str(voice) for voice in voices]
    settings = {"text_sha256": digest, "voices": names, "seed": config.seed, "format": config.format}
    if not path.exists():
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SynthesisError(f"{path}: expected the settings of an earlier run: {error}") from error
    changed = [name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name]]
    if changed:
        what = ", ".join(changed)
        raise SynthesisError(f"{path.parent}: holds a run that differs in {what}; take another folder")
