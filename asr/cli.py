"""The `asr` command: transcribe, evaluate, train, language models and lexicons, export, attend, curves."""

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from asr import language_cli
from asr.engine_kind import MAX_BEAM, PHONETIC, EngineKind
from asr.quick_start import quick_start

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Streaming speech recognition."
)
complaints = Console(stderr=True)

ModelOption = Annotated[Path | None, typer.Option("--model", help="Model folder; default: the bundled model.")]


class Format(StrEnum):
    """Output formats of a transcript."""

    text = "text"
    json = "json"
    srt = "srt"
    vtt = "vtt"


def parse_chunk(value: str) -> int:
    """Milliseconds of `--chunk-ms`: a number, or "offline"."""
    from asr.streaming.recognizer import OFFLINE_MS

    if value == "offline":
        return OFFLINE_MS
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(f'expected a number of milliseconds or "offline", got {value!r}') from None


ChunkOption = Annotated[
    str, typer.Option("--chunk-ms", help='Audio per step: 160, 320, a multiple of 640 up to 20480, or "offline".')
]

EngineOption = Annotated[EngineKind, typer.Option("--engine", help="What computes: docs/engines.md.")]

BeamOption = Annotated[
    int | None,
    typer.Option(
        "--beam",
        min=PHONETIC,
        max=MAX_BEAM,
        help="Hypotheses of the search; 1: greedy; 0: the phonetic search; default: the model's.",
    ),
]
LmWeightOption = Annotated[
    float | None,
    typer.Option("--lm-weight", min=0.0, help="Of the language model in a beam; default: as stored with it; 0: none."),
]
IlmWeightOption = Annotated[
    float | None,
    typer.Option("--ilm-weight", min=0.0, help="Of the model's own expectation, subtracted; default: as stored."),
]


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files of any kind.")],
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.text,
    chunk_ms: ChunkOption = "offline",
    output: Annotated[Path | None, typer.Option(help="Folder of the results; default: standard output.")] = None,
    model: ModelOption = None,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Files at a time.")] = 8,
    beam: BeamOption = None,
    lm_weight: LmWeightOption = None,
    ilm_weight: IlmWeightOption = None,
    phrases: Annotated[
        list[str] | None, typer.Option("--phrase", help="A name or term to favour; may be repeated.")
    ] = None,
    phrase_weight: Annotated[
        float | None, typer.Option(min=0.0, help="Bonus of each wordpiece of the phrases, in nats.")
    ] = None,
    engine: EngineOption = EngineKind.auto,
) -> None:
    """Turns recordings into text. Exit code 1 if a file failed; the others are done all the same."""
    with quick_start():
        from asr.decoding.phrases import PHRASE_WEIGHT
        from asr.transcribe import transcribe_files

        weight = PHRASE_WEIGHT if phrase_weight is None else phrase_weight
        failed = transcribe_files(
            files,
            format.value,
            parse_chunk(chunk_ms),
            output,
            model,
            batch,
            beam,
            lm_weight,
            ilm_weight,
            phrases or (),
            weight,
            engine,
        )
    raise typer.Exit(1 if failed else 0)


@app.command()
def evaluate(
    manifest: Annotated[Path, typer.Argument(help="JSONL manifest with reference texts.")],
    split: Annotated[list[str] | None, typer.Option("--split", help="Split to score; may be repeated.")] = None,
    chunk_ms: Annotated[
        list[str] | None,
        typer.Option(
            "--chunk-ms", help='Audio per step: 160, 320, a multiple of 640 up to 20480, or "offline"; default: 640.'
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="text or json.")] = Format.text,
    model: ModelOption = None,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Utterances at a time.")] = 16,
    beam: Annotated[
        list[int] | None,
        typer.Option(
            "--beam",
            min=PHONETIC,
            max=MAX_BEAM,
            help="Hypotheses of the search; 1: greedy; 0: the phonetic search; default: the model's.",
        ),
    ] = None,
    lm_weight: LmWeightOption = None,
    ilm_weight: IlmWeightOption = None,
    texts: Annotated[Path | None, typer.Option(help="Also write id, reference and hypothesis, as JSONL.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a whole report into this folder, or go on with it: every split, chunk size (--chunk-ms may be"
            " repeated; default: all five) and decoder (--beam likewise; default: 1, 16 and, if the model"
            " can, 0), and the first split under conditions."
        ),
    ] = None,
    noise: Annotated[Path | None, typer.Option(help="With --report: folder of noise recordings to mix in.")] = None,
    every: Annotated[int, typer.Option(min=1, help="With --report: only every so many utterances.")] = 1,
    engine: EngineOption = EngineKind.xla,
) -> None:
    """Word error rate on a manifest, by split (as JSON by speaker, too); with --report, all that a model card tells."""
    if format not in (Format.text, Format.json):
        raise typer.BadParameter(f"--format: expected text or json, got {format.value}")
    chunks = [parse_chunk(value) for value in chunk_ms or ()]
    if report is not None:
        if texts is not None or lm_weight is not None or ilm_weight is not None or engine is not EngineKind.xla:
            raise typer.BadParameter("--texts, --lm-weight, --ilm-weight and --engine do not go with --report")
        with quick_start():
            from asr.evaluation.report import tables
            from asr.evaluation.suite import CHUNKS, SuiteConfig, run_suite

            config = SuiteConfig(
                manifest,
                report,
                splits=tuple(split or ()),
                chunks=tuple(chunks) or CHUNKS,
                beams=tuple(beam or ()),
                model=model,
                noise=noise,
                every=every,
                batch=batch,
            )
            found = run_suite(config)
        print(json.dumps(found, indent=1) if format is Format.json else tables(found))
        return
    if len(chunks) > 1 or len(beam or ()) > 1 or noise is not None or every != 1:
        raise typer.BadParameter("several --chunk-ms or --beam, --noise and --every need --report")
    with quick_start():
        from asr.scoring import score_manifest

        chunk, hypotheses = (*chunks, 640)[0], (*(beam or ()), None)[0]
        results = score_manifest(manifest, split, chunk, model, batch, texts, hypotheses, lm_weight, ilm_weight, engine)
    if format is Format.json:
        print(json.dumps(results, indent=1))
        return
    for name, r in results.items():
        print(
            f"{name}: WER {100 * r['wer']:.2f} % of {r['words']} words "
            f"({r['substitutions']} substituted, {r['deletions']} deleted, {r['insertions']} inserted), "
            f"{r['utterances']} utterances of {len(r['speakers'])} speakers, RTF {r['rtf']:.4f}"
        )


@app.command()
def errors(
    texts: Annotated[Path, typer.Argument(help="What asr evaluate --texts wrote.")],
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest of the recordings: errors by speaker, and by words of its train split."),
    ] = None,
    train: Annotated[str, typer.Option(help="The manifest's training split.")] = "train",
    most: Annotated[int, typer.Option(min=1, help="Lines of each list.")] = 25,
) -> None:
    """Tells which words go wrong, and whose."""
    from asr.evaluation.errors import count_errors, describe, read_texts

    speakers: dict[str, str] = {}
    known: Counter[str] = Counter()
    if manifest is not None:
        from asr.errors import AsrError
        from data.manifest import read_manifest
        from data.text import normalise

        utterances = read_manifest(manifest, check_audio=False)
        speakers = {u.id: u.speaker for u in utterances}
        known.update(word for u in utterances if u.split == train and u.text for word in normalise(u.text).split())
        if not known:
            raise AsrError(f"{manifest}: no utterance of split {train!r} has a text")
    print("\n".join(describe(count_errors(read_texts(texts)), speakers, known, most)))


@app.command()
def calibrate(
    manifest: Annotated[Path, typer.Argument(help="JSONL manifest with reference texts.")],
    model: Annotated[Path, typer.Option("--model", help="Model folder; its config.json is changed.")],
    split: Annotated[list[str], typer.Option("--split", help="Split to measure on; may be repeated.")],
    chunk_ms: ChunkOption = "640",
    batch: Annotated[int, typer.Option(min=1, max=64, help="Utterances at a time.")] = 16,
    every: Annotated[int, typer.Option(min=1, help="Only every so many utterances.")] = 1,
    beam: BeamOption = None,
) -> None:
    """Measures a model's word times and confidences on recordings it does not know, and has it say them right."""
    with quick_start():
        from asr.evaluation.calibrate import calibrate as fit

        print(json.dumps(fit(manifest, split, model, parse_chunk(chunk_ms), batch, every, beam)))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML file; see asr/configs.")],
    run: language_cli.RunOption = None,
    until_minutes: language_cli.UntilOption = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="table.key=value, over what the file says; may be repeated.")
    ] = None,
) -> None:
    """Trains a model, or goes on where the run stopped."""
    from asr.training.command import train_command

    train_command(config, run or Path("runs") / config.stem, until_minutes, settings or ())


app.command("train-lm")(language_cli.train_lm)
app.command("train-next-words")(language_cli.train_next_words)
app.command("sample-words")(language_cli.sample_words)
app.command("train-words")(language_cli.train_words)
app.command("copy-words")(language_cli.copy_words)
app.command("lexicon")(language_cli.lexicon)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    output: Annotated[Path, typer.Argument(help="Model folder to write.")],
    average: Annotated[int, typer.Option(min=1, help="Average the newest N checkpoints.")] = 1,
) -> None:
    """Writes a training run's averaged weights as a model folder."""
    from asr.training.export import export_run

    export_run(run, output, average)


@app.command()
def mix(
    models: Annotated[list[Path], typer.Argument(help="Model folders, each started from another of them.")],
    output: Annotated[Path, typer.Option(help="Model folder to write.")],
    share: Annotated[list[float] | None, typer.Option(help="Of each model, in order; default: equal.")] = None,
    first_only: Annotated[
        list[str] | None,
        typer.Option(help="A part that is taken from the first model alone, as joint; repeat for more."),
    ] = None,
) -> None:
    """Writes the weighted mean of several models' weights as a model folder."""
    from asr.training.mix import mix_models

    mix_models(models, output, share or [1.0] * len(models), first_only or ())


@app.command()
def attend(
    file: Annotated[Path, typer.Argument(help="Audio file of any kind.")],
    output: Annotated[Path, typer.Option(help="Picture to write: .png, .svg, .pdf or .html.")] = Path("attention.png"),
    words: Annotated[bool, typer.Option("--words", help="A row for each word, not for each wordpiece.")] = False,
    heads: Annotated[bool, typer.Option("--heads", help="A panel for each head, not their mean.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of the recording, from its start.")] = 30.0,
    chunk_ms: ChunkOption = "640",
    model: ModelOption = None,
    beam: BeamOption = None,
) -> None:
    """Draws where the model looked: log-mel, blocks, attention of each wordpiece, the encoder's windows."""
    from asr.attention_picture import attend_file

    print(attend_file(file, output, parse_chunk(chunk_ms), model, seconds, beam, words=words, heads=heads))


@app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs; each started from the one before.")],
    output: Annotated[Path, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = Path("curves.png"),
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="None started from another: lines for each.")
    ] = False,
) -> None:
    """Draws learning curves: losses and dev WER against hours heard."""
    from asr.training.curves import draw_curves

    draw_curves(runs, output, side_by_side)


def fail(message: str) -> NoReturn:
    """Tells the user what is wrong, without a traceback, and exits with 2."""
    complaints.print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: user errors become one line and exit code 2."""
    # TensorFlow reads it once, when it is imported: no notices, and no false alarms about kept programs (preferences of
    # the compiler, as "prefer-no-gather", are taken for abilities that the processor lacks).
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="asr")
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "keras", "av", "sentencepiece", "jiwer", "soxr"):
            raise
        fail(f"{error.name} is not installed; recognition needs: pip install 'earshot[asr]'")
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
