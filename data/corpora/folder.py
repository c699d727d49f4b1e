"""A plain folder of recordings, each with a text file of the same name, or all with one transcripts.tsv.

`transcripts.tsv` has lines `AUDIO<tab>TEXT` or `AUDIO<tab>TEXT<tab>SPEAKER`, the audio's path from the
folder. Where nothing names the speaker, it is the folder that the recording lies in, below the given one; a
recording that lies in no such folder counts as a speaker of its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.corpora.reading import (
    AUDIO_SUFFIXES,
    CorpusError,
    Skip,
    make_utterance,
    numbered_lines,
    refuse,
    require_folder,
    single_split,
)
from data.manifest import Utterance

TABLE = "transcripts.tsv"


def read_folder(folder: Path, splits: Sequence[str] = (), skip: Skip = refuse) -> Iterator[Utterance]:
    """Reads a folder and those below it; see `data.corpora.reading.Reader`.

    Args:
        folder: With recordings.
        splits: The one split's name.
        skip: Told of what cannot be used.

    Yields:
        Utterances, with the recording's path from the folder, without its suffix, as id.

    Raises:
        CorpusError: if there is neither a table nor a recording with its text.
    """
    require_folder(folder)
    split = single_split(splits, "a folder")
    found = _from_table(folder) if (folder / TABLE).is_file() else _from_texts(folder, skip)
    for where, audio, raw, speaker in found:
        path = Path(audio)
        utterance = make_utterance(
            where,
            id=path.with_suffix("").as_posix(),
            audio=folder / path,
            speaker=speaker or (path.with_suffix("") if path.parent == Path() else path.parent).as_posix(),
            raw=raw,
            split=split,
            skip=skip,
        )
        if utterance:
            yield utterance


def _from_table(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Where it stands, audio, text and speaker of each line."""
    for where, line in numbered_lines(folder / TABLE):
        fields = line.split("\t")
        if len(fields) not in (2, 3) or not fields[0]:
            raise CorpusError(f"{where}: expected 'AUDIO<tab>TEXT[<tab>SPEAKER]', got {line!r:.80}")
        yield where, fields[0], fields[1], fields[2] if len(fields) == 3 else ""


def _from_texts(folder: Path, skip: Skip) -> Iterator[tuple[str, str, str, str]]:
    recordings = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not any(path.with_suffix(".txt").is_file() for path in recordings):
        expected = f"recordings with a .txt of the same name beside them, or {TABLE}"
        raise CorpusError(f"{folder}: expected {expected}; found {len(recordings)} recordings without")
    for path in recordings:
        text = path.with_suffix(".txt")
        if not text.is_file():
            skip(f"{path}: no {text.name} beside it")
            continue
        raw = " ".join(line.strip() for _, line in numbered_lines(text))
        yield str(text), path.relative_to(folder).as_posix(), raw, ""
