"""Mozilla Common Voice: LANGUAGE/{train,dev,test,…}.tsv with a header line, and LANGUAGE/clips/*.mp3."""

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

DEFAULT_PARTS = ("train", "dev", "test")  # the others (validated, other, …) overlap these or are unchecked
_NO_UTTERANCES = {"clip_durations", "reported", "validated_sentences", "unvalidated_sentences"}
_COLUMNS = ("client_id", "path", "sentence")


def read_commonvoice(folder: Path, splits: Sequence[str] = (), skip: Skip = refuse) -> Iterator[Utterance]:
    """Reads a language's tables, each a split; see `data.corpora.reading.Reader`.

    Args:
        folder: One language's, such as `cv-corpus-17.0-2024-03-15/en`.
        splits: Names of tables without `.tsv`; none: train, dev and test, as far as they are there.
        skip: Told of what cannot be used.

    Yields:
        Utterances; speakers are "cv-" and the first 16 hexadecimal figures of `client_id`.

    Raises:
        CorpusError: if tables or clips are not where they should be.
    """
    require_folder(folder)
    found = [path.stem for path in sorted(folder.glob("*.tsv")) if path.stem not in _NO_UTTERANCES]
    parts = chosen_parts(found, splits, folder) if found else []
    if not splits:
        parts = [part for part in DEFAULT_PARTS if part in found]
    if not parts or not (folder / "clips").is_dir():
        expected = "train.tsv, dev.tsv or test.tsv, and clips/, as in one language's folder of Common Voice"
        tables = ", ".join(f"{name}.tsv" for name in found) or "no table"
        raise CorpusError(f"{folder}: expected {expected}; found {tables}")
    seen: set[str] = set()
    for part in parts:
        yield from _read_table(folder, part, seen, skip)


def _read_table(folder: Path, part: str, seen: set[str], skip: Skip) -> Iterator[Utterance]:
    lines = numbered_lines(folder / f"{part}.tsv")
    where, header = next(lines, (f"{folder / part}.tsv:1", ""))
    columns = header.split("\t")
    for column in _COLUMNS:
        if column not in columns:
            raise CorpusError(f"{where}: expected a column {column!r}, got {columns}")
    client, path, sentence = (columns.index(column) for column in _COLUMNS)
    for where, line in lines:
        fields = line.split("\t")
        if len(fields) <= max(client, path, sentence):
            raise CorpusError(f"{where}: expected {len(columns)} columns, got {len(fields)}")
        name = Path(fields[path]).stem
        if name in seen:
            skip(f"{where}: clip {fields[path]} is already in a table before it")
            continue
        seen.add(name)
        audio = folder / "clips" / (fields[path] if Path(fields[path]).suffix else f"{fields[path]}.mp3")
        speaker = f"cv-{fields[client][:16]}"
        utterance = make_utterance(
            where, id=name, audio=audio, speaker=speaker, raw=fields[sentence], split=part, skip=skip
        )
        if utterance:
            yield utterance
