"""VCTK (CSTR Edinburgh): txt/SPEAKER/*.txt, and the recordings in wav48_silence_trimmed/ or wav48/."""

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

# Version 0.92 has two microphones as FLAC, of which the first is the better; version 0.80 has one as WAV.
_LAYOUTS = (("wav48_silence_trimmed", "_mic1.flac"), ("wav48", ".wav"))


def read_vctk(folder: Path, splits: Sequence[str] = (), skip: Skip = refuse) -> Iterator[Utterance]:
    """Reads the corpus; see `data.corpora.reading.Reader`.

    Args:
        folder: `VCTK-Corpus` or `VCTK-Corpus-0.92`.
        splits: The one split's name.
        skip: Told of what cannot be used: p315 has no texts, and some texts have no recording.

    Yields:
        Utterances; speakers are "vctk-pNUMBER".

    Raises:
        CorpusError: if texts or recordings are not where they should be.
    """
    require_folder(folder)
    split = single_split(splits, "VCTK")
    layout = next((layout for layout in _LAYOUTS if (folder / layout[0]).is_dir()), None)
    texts = sorted((folder / "txt").glob("*/*.txt"))
    if layout is None or not texts:
        expected = "txt/SPEAKER/*.txt, and wav48_silence_trimmed/ or wav48/, as in VCTK"
        raise CorpusError(f"{folder}: expected {expected}")
    recordings, ending = layout
    for path in texts:
        where, raw = next(numbered_lines(path), (f"{path}:1", ""))
        utterance = make_utterance(
            where,
            id=path.stem,
            audio=folder / recordings / path.parent.name / f"{path.stem}{ending}",
            speaker=f"vctk-{path.parent.name}",
            raw=raw.strip(),
            split=split,
            skip=skip,
        )
        if utterance:
            yield utterance
