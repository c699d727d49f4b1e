"""`asr transcribe`: recordings to text, several at a time, in bounded memory."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from asr.audio.files import probe, read_blocks
from asr.decoding.phrases import PHRASE_WEIGHT
from asr.engine_kind import EngineKind
from asr.formats import format_transcript
from asr.model_folder import bundled_model, default_beam, read_config
from asr.output import ResultFolder
from asr.streaming.batch import recognise_all
from asr.streaming.engines import chosen
from asr.streaming.recognizer import Recognizer

EXTENSIONS = {"text": "txt", "json": "json", "srt": "srt", "vtt": "vtt"}


def transcribe_files(
    files: list[Path],
    kind: str,
    chunk_ms: int,
    output: Path | None,
    model: Path | None,
    batch: int,
    beam: int | None = None,
    lm_weight: float | None = None,
    ilm_weight: float | None = None,
    phrases: Sequence[str] = (),
    phrase_weight: float = PHRASE_WEIGHT,
    engine: EngineKind = EngineKind.auto,
) -> list[Path]:
    """Transcribes files; each result is written as soon as it is there.

    Args:
        files: Audio files of any kind.
        kind: "text", "json", "srt" or "vtt".
        chunk_ms: Audio per step.
        output: Folder of the results; None: standard output, in the order of the files.
        model: Model folder; None: the bundled model.
        batch: Files at a time.
        beam: As `Recognizer` takes it.
        lm_weight: As `Recognizer` takes it.
        ilm_weight: As `Recognizer` takes it.
        phrases: Names and terms to favour.
        phrase_weight: As `Recognizer` takes it.
        engine: What computes the steps.

    Returns:
        Files that failed; each was reported on standard error.

    Raises:
        AsrError: if two files would have the same result, the chunk size is not served, or a phrase cannot be said.
        CheckpointError: if the model cannot be read.
    """
    console = Console(stderr=True)
    folder = model or bundled_model()
    beam = default_beam(folder) if beam is None else beam
    engine = chosen(engine, read_config(folder)[0])
    settings = {"format": kind, "chunk_ms": chunk_ms, "model": _identity(folder), "beam": [beam, lm_weight, ilm_weight]}
    settings["phrases"] = [*phrases, phrase_weight] if phrases else []
    settings |= {"engine": engine.value} if engine is not EngineKind.xla else {}
    results = ResultFolder(output, EXTENSIONS[kind], settings) if output else None
    waiting = list(dict.fromkeys(files))
    if results:
        results.check_names(waiting)
        done = [f for f in waiting if results.done(f)]
        waiting = [f for f in waiting if f not in set(done)]
        if done:
            console.print(f"{len(done)} of {len(files)} files are done already", style="dim")
    if not waiting:
        return []
    streams = min(batch, len(waiting))
    recognizer = Recognizer(
        folder,
        chunk_ms,
        streams,
        beam=beam,
        lm_weight=lm_weight,
        ilm_weight=ilm_weight,
        phrase_weight=phrase_weight,
        engine=engine,
    )
    return _run(recognizer, waiting, kind, folder.name, results, console, phrases)


def _identity(folder: Path) -> list[str | int]:
    """What tells one model from another, its words and its decoding, without reading its weights."""
    found: list[str | int] = [str(folder.resolve())]
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith("."):
            status = path.stat()
            found += [path.name, status.st_size, status.st_mtime_ns]
    return found


def _run(
    recognizer: Recognizer,
    files: list[Path],
    kind: str,
    name: str,
    results: ResultFolder | None,
    console: Console,
    phrases: Sequence[str],
) -> list[Path]:
    failed: list[Path] = []
    texts: dict[Path, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[Path, TaskID] = {}
        sources = ((f, partial(_opened, f, bars, tasks)) for f in files)
        for file, result in recognise_all(recognizer, sources, _progress(bars, tasks), phrases):
            if file in tasks:
                bars.remove_task(tasks[file])
            if isinstance(result, ValueError):
                failed.append(file)
                bars.console.print(f"error: {result}", style="red", markup=False, highlight=False, soft_wrap=True)
                continue
            text = format_transcript(result, kind, name)
            if results:
                results.write(file, text)
            else:
                texts[file] = text
    for file in files if results is None else []:
        if file in texts:
            heading = f"{file}: " if len(files) > 1 and kind == "text" else ""
            sys.stdout.write(heading + texts[file])
    return failed


def _opened(file: Path, bars: Progress, tasks: dict[Path, TaskID]) -> Iterator[NDArray[np.float32]]:
    seconds = probe(file).seconds
    tasks[file] = bars.add_task(file.name, total=seconds or None, speed="")
    return read_blocks(file)


def _progress(bars: Progress, tasks: dict[Path, TaskID]) -> Callable[[Path, int], None]:
    def update(file: Path, audio_ms: int) -> None:
        task = bars.tasks[bars.task_ids.index(tasks[file])]
        speed = audio_ms / 1000 / max(task.elapsed or 0.0, 1e-3)
        bars.update(tasks[file], completed=audio_ms / 1000, speed=f"{speed:.0f} x real time")

    return update
