"""LJSpeech (Keith Ito): metadata.csv, of lines ID|text|text with numbers written out, and wavs/ID.wav."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.corpora.reading import (
    CorpusError,
    Skip,
    make_utterance,
    numbered_lines,
    refuse,
    require_folder,
    single_split,
)
from data.manifest import Utterance


def read_ljspeech(folder: Path, splits: Sequence[str] = (), skip: Skip = refuse) -> Iterator[Utterance]:
    """Reads the corpus; see `data.corpora.reading.Reader`.

    Args:
        folder: `LJSpeech-1.1`.
        splits: The one split's name.
        skip: Told of what cannot be used.

    Yields:
        Utterances of the one speaker, "lj".

    Raises:
        CorpusError: if the table or the recordings are not where they should be.
    """
    require_folder(folder)
    split = single_split(splits, "LJSpeech")
    table = folder / "metadata.csv"
    if not table.is_file() or not (folder / "wavs").is_dir():
        raise CorpusError(f"{folder}: expected metadata.csv and wavs/ as in LJSpeech-1.1")
    for where, line in numbered_lines(table):
        fields = line.split("|")  # a quotation mark is text here, not CSV's
        if len(fields) not in (2, 3):
            raise CorpusError(f"{where}: expected 'ID|TEXT|NORMALISED TEXT', got {line!r:.80}")
        utterance = make_utterance(
            where,
            id=fields[0],
            audio=folder / "wavs" / f"{fields[0]}.wav",
            speaker="lj",
            raw=fields[-1] or fields[1],
            split=split,
            skip=skip,
        )
        if utterance:
            yield utterance
