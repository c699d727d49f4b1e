"""The command `asr-data`: corpora to manifests, synthetic speech, and checks of manifests.

Exit status: 0 all is well, 1 the data is not, 2 the command line is not.
"""

import enum
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from data.audio import SAMPLE_RATE, AudioError, load_audio, recordings_in
from data.copies import CopyConfig, make_copies
from data.corpora.readers import READERS
from data.corpora.reading import refuse
from data.manifest import ManifestError, Utterance, read_manifest, scan_manifest, write_manifest
from data.pronounce import pronunciations, write_pronunciations
from data.prose import FEWEST_WORDS, write_sentences
from data.synthesize import FORMATS, SynthesisConfig, synthesize
from data.teacher import OnnxEncoder, teach

app = typer.Typer(
    help="Corpora, manifests and synthetic speech.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Corpus = enum.StrEnum("Corpus", {name: name for name in READERS})  # type: ignore[misc]  # members are the readers
AudioFormat = enum.StrEnum("AudioFormat", {name: name for name in FORMATS})  # type: ignore[misc]  # likewise
SHOWN_PROBLEMS = 20
LENGTH_TOLERANCE_SECONDS = 0.1  # between a manifest and decoded audio: codecs pad
_NORMAL = re.compile(r"(?:[a-z']+(?: [a-z']+)*)?")
_DEFAULTS = SynthesisConfig()
_DEFAULT_FORMAT = AudioFormat(_DEFAULTS.format)
_PROCESSORS = os.cpu_count() or 1


@app.command()
def prepare(
    corpus: Annotated[Corpus, typer.Argument(help="Which layout the folder has.")],
    folder: Annotated[Path, typer.Argument(help="Where the corpus lies.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    split: Annotated[
        list[str] | None,
        typer.Option(help="A part to read (librispeech, commonvoice; may repeat), or the name for all."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unusable utterance.")] = False,
) -> None:
    """Write the manifest of a corpus."""
    skipped: list[str] = []
    reader = READERS[corpus.value]
    with _progress() as bar:
        task = bar.add_task("utterances", total=None)
        utterances = []
        for utterance in reader(folder.absolute(), split or (), refuse if strict else skipped.append):
            utterances.append(utterance)
            bar.advance(task)
    _say_problems(skipped, "skipped")
    if not utterances:
        raise ManifestError(f"{folder}: expected utterances, found none that can be used")
    write_manifest(output, utterances)
    _say_summary(utterances)
    typer.echo(f"Wrote {len(utterances)} utterances to {output}.")


@app.command(name="synthesize")
def synthesize_command(
    text: Annotated[Path, typer.Argument(help="One sentence a line; .xz is read as it is.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for audio and manifest.jsonl.")],
    voices: Annotated[
        list[str] | None,
        typer.Option(
            help="ENGINE or ENGINE:PATTERN, as in 'espeak-ng:en-us*'; may repeat. Engines: espeak-ng, flite, festival "
            "(the default: these three), and the neural hibari, kokoro and piper."
        ),
    ] = None,
    voice_models: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of Kokoro's and Piper's models.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Utterances to make in all.")] = _DEFAULTS.count,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = _DEFAULTS.seed,
    format: Annotated[AudioFormat, typer.Option(help="Of the audio files.")] = _DEFAULT_FORMAT,
    split: Annotated[str, typer.Option(help="The utterances' split.")] = _DEFAULTS.split,
    max_words: Annotated[int, typer.Option(min=1, help="Leave longer sentences out.")] = _DEFAULTS.max_words,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Synthesisers at once.")] = _PROCESSORS,
) -> None:
    """Make synthetic speech from a text; a second run goes on where the first was stopped."""
    config = SynthesisConfig(
        voices=tuple(voices or _DEFAULTS.voices),
        models=voice_models,
        count=count,
        seed=seed,
        format=format.value,
        split=split,
        max_words=max_words,
    )
    with _progress() as bar:
        task = bar.add_task("utterances", total=count)
        summary = synthesize(
            text, output, config, jobs=jobs, progress=lambda done, total: bar.update(task, completed=done)
        )
    _say_problems(summary.failures, "failed")
    typer.echo(f"Made {summary.made} utterances; {output / 'manifest.jsonl'} has {summary.total}.")
    if summary.failures:
        raise typer.Exit(1)


@app.command()
def pronounce(
    manifest: Annotated[Path, typer.Argument(help="Manifest whose words are pronounced, of all splits.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")],
    words: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Text file of further words, one a line, as of a lexicon."),
    ] = None,
    voice: Annotated[str, typer.Option(help="Of espeak-ng, whose accent it is.")] = "en-us",
) -> None:
    """Write the phonemes of a manifest's words, for `pronunciations` of a training run.

    A word may have more than one pronunciation: training takes the first, decoding all.
    """
    wanted = {word for u in read_manifest(manifest) for word in (u.text or "").split()}
    if not wanted:
        raise ManifestError(f"{manifest}: expected transcribed utterances, found none")
    if words:
        wanted |= set(words.read_text(encoding="utf-8").split())
    found = pronunciations(wanted, voice)
    write_pronunciations(output, found)
    phonemes = {phoneme for said in found.values() for one in said for phoneme in one}
    typer.echo(f"Wrote {len(found)} words to {output}: {len(phonemes)} phonemes, so phonemes = {len(phonemes)}.")


@app.command(name="sentences")
def sentences_command(
    texts: Annotated[list[Path], typer.Argument(help="Running text, a paragraph a line; .xz is read as it is.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the sentences; .xz is packed.")],
    without: Annotated[Path | None, typer.Option(help="Manifest whose transcripts are left out.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Split of that manifest; may repeat. Default: all.")] = None,
    min_words: Annotated[int, typer.Option(min=1, help="Of a sentence.")] = FEWEST_WORDS,
) -> None:
    """Split running text into sentences, one a line, as language models read them.

    What is tested on must not be learnt: name the manifest of your test set.
    """
    held_out = read_manifest(without, splits=split, check_audio=False) if without else []
    if without and not held_out:
        raise ManifestError(f"{without}: expected utterances of {' or '.join(split or ['any split'])}, found none")
    found = write_sentences(texts, output, {u.text for u in held_out if u.text}, min_words)
    left = f"{found.held_out} of the manifest, {found.strange} of unreadable letters, {found.short} too short"
    typer.echo(f"Wrote {found.kept} sentences, {found.words} words, to {output}; left out {left}.")


@app.command(name="teach")
def teach_command(
    manifest: Annotated[Path, typer.Argument(help="Manifest of what the teacher hears.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for its frames.")],
    encoder: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="ONNX or ORT file: [batch, samples] to frames.")
    ],
    split: Annotated[list[str] | None, typer.Option(help="Split to hear; may repeat. Default: train.")] = None,
    first_ms: Annotated[float, typer.Option(help="Middle of the encoder's first frame.")] = 28.0,
    step_ms: Annotated[float, typer.Option(help="From one of its frames to the next.")] = 24.0,
    components: Annotated[int, typer.Option(min=1, help="Principal components that are kept.")] = 128,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Recordings at once.")] = _PROCESSORS,
) -> None:
    """Write what another model's encoder says of recordings, for `teacher` of a training run.

    The times are by default those of Moonshine.
    """
    wanted = tuple(split or ("train",))
    utterances = read_manifest(manifest, splits=wanted)
    if not utterances:
        raise ManifestError(f"{manifest}: expected utterances of {' or '.join(wanted)}, found none")
    with _progress() as bar:
        task = bar.add_task("recordings", total=len(utterances))
        kept = teach(
            utterances,
            OnnxEncoder(encoder, first_ms, step_ms),
            output,
            components,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    typer.echo(f"Wrote frames of {len(utterances)} recordings to {output}: {100 * kept:.0f} % of their variance.")


@app.command(name="augment")
def augment_command(
    manifest: Annotated[Path, typer.Argument(help="Manifest of what is copied.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for audio and manifest.jsonl.")],
    split: Annotated[list[str] | None, typer.Option(help="Split to copy; may repeat. Default: train.")] = None,
    copies: Annotated[int, typer.Option(min=1, help="Of each utterance.")] = CopyConfig.copies,
    noise: Annotated[Path | None, typer.Option(help="Folder of noise recordings.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = CopyConfig.seed,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Copies at once.")] = _PROCESSORS,
) -> None:
    """Make copies of recordings at other speeds, in rooms, with noise, over the telephone.

    The new manifest holds all utterances of the old one, and the copies as split SPLIT-augmented.
    """
    utterances = read_manifest(manifest)
    config = CopyConfig(tuple(split or CopyConfig.splits), copies, seed)
    noises = [load_audio(path) for path in recordings_in(noise)] if noise else []
    with _progress() as bar:
        task = bar.add_task("copies", total=None)
        made = make_copies(
            utterances,
            output,
            config,
            noises,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"Made {made} copies; {output / 'manifest.jsonl'} has {len(utterances) + made} utterances.")


@app.command()
def check(
    manifest: Annotated[Path, typer.Argument(help="The manifest to check.")],
    audio: Annotated[bool, typer.Option(help="Whether audio files must be there.")] = True,
    decode: Annotated[bool, typer.Option("--decode", help="Decode all audio, and compare lengths.")] = False,
) -> None:
    """Check every line of a manifest; print hours and speakers of its splits."""
    problems: list[str] = []
    utterances: list[Utterance] = []
    with _progress() as bar:
        task = bar.add_task("utterances", total=None)
        for number, found in scan_manifest(manifest, check_audio=audio or decode):
            bar.advance(task)
            if isinstance(found, ManifestError):
                problems.append(str(found))
                continue
            utterances.append(found)
            problems += [f"{manifest}:{number}: {what}" for what in _problems_of(found, decode)]
    _say_summary(utterances)
    _say_problems(problems, "problems")
    if problems or not utterances:
        raise ManifestError(f"{manifest}: {len(problems)} problems, {len(utterances)} utterances")


def _problems_of(utterance: Utterance, decode: bool) -> Iterable[str]:
    if utterance.text is not None and not _NORMAL.fullmatch(utterance.text):
        yield f"text: expected a-z, ' and single spaces, got {utterance.text!r:.80}"
    if decode:
        try:
            seconds = len(load_audio(utterance.audio)) / SAMPLE_RATE
        except AudioError as error:
            yield f"audio: {error}"
        else:
            if abs(seconds - utterance.seconds) > LENGTH_TOLERANCE_SECONDS:
                yield f"seconds: expected {seconds:.3f}, as the audio has, got {utterance.seconds}"


def _progress() -> Progress:
    """A bar on standard error, gone when it is done; nothing where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _say_problems(problems: Sequence[str], title: str) -> None:
    for problem in problems[:SHOWN_PROBLEMS]:
        typer.echo(problem, err=True)
    if problems:
        more = f", the first {SHOWN_PROBLEMS} shown" if len(problems) > SHOWN_PROBLEMS else ""
        typer.echo(f"{title}: {len(problems)}{more}", err=True)


def _say_summary(utterances: Sequence[Utterance]) -> None:
    splits: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        splits[utterance.split].append(utterance)
    table = Table("split", *(("utterances", "hours", "speakers", "transcribed")), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, members in splits.items():
        hours = sum(u.seconds for u in members) / 3600
        speakers, transcribed = len({u.speaker for u in members}), sum(u.text is not None for u in members)
        table.add_row(name, str(len(members)), f"{hours:.2f}", str(speakers), str(transcribed))
    Console(width=100).print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; what users can mend is said in one line, without a traceback."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="asr-data")
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
