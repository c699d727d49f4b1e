"""LibriSpeech (Panayotov et al. 2015): SUBSET/SPEAKER/CHAPTER/*.trans.txt and FLAC files beside them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.corpora.reading import (
    CorpusError,
    Skip,
    chosen_parts,
    make_utterance,
    numbered_lines,
    refuse,
    require_folder,
)
from data.manifest import Utterance


def read_librispeech(folder: Path, splits: Sequence[str] = (), skip: Skip = refuse) -> Iterator[Utterance]:
    """Reads subsets such as train-clean-100, each a split; see `data.corpora.reading.Reader`.

    Args:
        folder: `LibriSpeech`, or one subset's folder.
        splits: Subsets.
        skip: Told of what cannot be used.

    Yields:
        Utterances; speakers are "ls-NUMBER".

    Raises:
        CorpusError: if no transcripts are where they should be.
    """
    require_folder(folder)
    if any(folder.glob("*/*/*.trans.txt")):  # a subset's own folder
        parts = {folder.absolute().name: folder}
    else:
        parts = {part.name: part for part in sorted(folder.iterdir()) if any(part.glob("*/*/*.trans.txt"))}
    if not parts:
        raise CorpusError(f"{folder}: expected SUBSET/SPEAKER/CHAPTER/*.trans.txt as in LibriSpeech")
    for name in chosen_parts(list(parts), splits, folder):
        for transcripts in sorted(parts[name].glob("*/*/*.trans.txt")):
            yield from _read_chapter(transcripts, name, skip)


def _read_chapter(transcripts: Path, split: str, skip: Skip) -> Iterator[Utterance]:
    for where, line in numbered_lines(transcripts):
        name, space, raw = line.partition(" ")
        speaker = transcripts.parent.parent.name
        if not space or not name.startswith(f"{speaker}-"):
            raise CorpusError(f"{where}: expected '{speaker}-CHAPTER-NUMBER TEXT', got {line!r:.80}")
        audio = transcripts.parent / f"{name}.flac"
        utterance = make_utterance(
            where, id=name, audio=audio, speaker=f"ls-{speaker}", raw=raw, split=split, skip=skip
        )
        if utterance:
            yield utterance
