"""`asr-client transcribe`: several recordings at a time."""

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from client.audio_file import AudioSource
from client.backoff import Backoff
from client.errors import EarshotError, LimitExceededError, OverloadedError
from client.formats import Format, format_transcript
from client.recording import transcribe
from client.transcript import Transcript


@dataclass(frozen=True)
class BatchOptions:
    """What to do with every file.

    Attributes:
        url: Of the server.
        format: What to write.
        output: Folder of the results; None: standard output, in the order of the files.
        streams: Files at a time.
        session: Options of `client.transcribe`.
        patience: For a full server.
    """

    url: str
    format: Format
    output: Path | None
    streams: int
    session: dict[str, Any]
    patience: Backoff


async def transcribe_files(files: Iterable[Path], options: BatchOptions, console: Console) -> list[Path]:
    """Transcribes files; each result is written as soon as it is there.

    Args:
        files: Audio files.
        options: What to do with them.
        console: For errors and progress.

    Returns:
        Files that failed; each was reported on the console.

    Raises:
        ValueError: if two files would have the same result.
    """
    waiting = list(dict.fromkeys(files))
    if options.output is not None:
        _check_names(waiting, options)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        batch = _Batch(options, bars)
        await asyncio.gather(*map(batch.run, waiting))
    for file in waiting if options.output is None else []:
        if file in batch.texts:
            heading = f"{file}: " if len(waiting) > 1 and options.format is Format.text else ""
            sys.stdout.write(heading + batch.texts[file])
    return [file for file in waiting if file in batch.failed]


def _result_path(file: Path, options: BatchOptions) -> Path:
    """The name with an extension added, so that a.wav and a.mp3 do not meet."""
    return (options.output or Path()) / f"{file.name}.{options.format.extension}"


def _check_names(files: list[Path], options: BatchOptions) -> None:
    seen: dict[Path, Path] = {}
    for file in files:
        path = _result_path(file, options)
        other = seen.setdefault(path, file)
        if other is not file:
            raise ValueError(f"{other} and {file} would both be written to {path}")


class _Batch:
    """The files of one command."""

    def __init__(self, options: BatchOptions, bars: Progress) -> None:
        self.options, self.bars = options, bars
        self.texts: dict[Path, str] = {}
        self.failed: set[Path] = set()
        self._places = asyncio.Semaphore(options.streams)

    async def run(self, file: Path) -> None:
        """Transcribes a file and writes or keeps the result."""
        async with self._places:
            task = self.bars.add_task(file.name, total=None, speed="")
            try:
                text = format_transcript(await self._transcribed(file, task), self.options.format)
                if self.options.output is None:
                    self.texts[file] = text
                else:
                    _write(_result_path(file, self.options), text)
            except (EarshotError, OSError) as error:
                self.failed.add(file)
                said = str(error)
                named = said if str(file) in said else f"{file}: {said}"
                self.bars.console.print(f"error: {named}", style="red", markup=False, highlight=False, soft_wrap=True)
            finally:
                self.bars.remove_task(task)

    async def _transcribed(self, file: Path, task: TaskID) -> Transcript:
        """A full server is asked again: other files of ours may be what fills it."""

        def progress(source: AudioSource, sent: int) -> None:
            seconds = sent / source.bytes_per_second if source.bytes_per_second else 0.0
            elapsed = max(self.bars.tasks[self.bars.task_ids.index(task)].elapsed or 0.0, 1e-3)
            speed = f"{seconds / elapsed:.0f} x real time" if seconds else ""
            self.bars.update(task, total=source.seconds or None, completed=seconds, speed=speed)

        started = time.monotonic()
        for delay in self.options.patience.delays():
            try:
                return await transcribe(file, self.options.url, progress=progress, **self.options.session)
            except (OverloadedError, LimitExceededError):
                if time.monotonic() + delay - started > self.options.patience.give_up_s:
                    raise
            await asyncio.sleep(delay)
        raise AssertionError("back-off has no end")


def _write(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
