"""Word error rate of a model on a manifest: `asr evaluate`."""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer

from asr.errors import AsrError
from asr.streaming.batch import recognise_all
from asr.streaming.recognizer import Recognizer
from data.audio import Samples, load_audio
from data.manifest import Utterance, read_manifest
from data.text import TextError, normalise


@dataclass(frozen=True)
class WordErrors:
    """Errors of hypotheses against references, after normalising both.

    Attributes:
        words: Words of the references.
        substitutions: Words recognised as another.
        deletions: Words left out.
        insertions: Words that were not said.
    """

    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def wer(self) -> float:
        """Word error rate: (S + D + I) / words."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.words)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measures.

    Attributes:
        errors: Over all utterances.
        speakers: By speaker, those whose references have words.
        utterances: Number of utterances.
        audio_seconds: Their length.
        compute_seconds: Wall-clock time of recognition: features, encoder, decoding; audio decoding not counted.
        texts: (id, reference, hypothesis) of each utterance.
    """

    errors: WordErrors
    speakers: dict[str, WordErrors]
    utterances: int
    audio_seconds: float
    compute_seconds: float
    texts: tuple[tuple[str, str, str], ...]

    @property
    def rtf(self) -> float:
        """Real-time factor: compute time over audio time."""
        return self.compute_seconds / self.audio_seconds

    def summary(self) -> dict[str, Any]:
        """JSON-able figures, without the texts."""

        def figures(errors: WordErrors) -> dict[str, Any]:
            return {"wer": round(errors.wer, 4), **dataclasses.asdict(errors)}

        return {
            **figures(self.errors),
            "utterances": self.utterances,
            "audio_seconds": round(self.audio_seconds, 1),
            "rtf": round(self.rtf, 5),
            "speakers": {name: figures(errors) for name, errors in sorted(self.speakers.items())},
        }


def read_scored(manifest: Path, splits: Collection[str] | None = None) -> list[Utterance]:
    """Utterances of a manifest that have a reference text, of these splits or of all.

    Raises:
        AsrError: if a split has none.
        ManifestError: if the manifest is broken.
    """
    found = [u for u in read_manifest(manifest, splits=splits or None) if u.text]
    for split in splits or ():
        if not any(u.split == split for u in found):
            raise AsrError(f"{manifest}: no utterance of split {split!r} has a reference text")
    if not found:
        raise AsrError(f"{manifest}: expected utterances with reference texts, found none")
    return found


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Counts errors, both sides normalised as in training.

    Raises:
        AsrError: if there is no reference with a word: its rate would not be defined.
    """
    references, hypotheses = [normalise(r) for r in references], [normalise(h) for h in hypotheses]
    if not any(references):
        raise AsrError("expected references with words, got none")
    found = jiwer.process_words(list(references), list(hypotheses))
    words = found.hits + found.substitutions + found.deletions
    return WordErrors(words, found.substitutions, found.deletions, found.insertions)


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    progress: Callable[[int, int], None] = lambda done, total: None,
    load: Callable[[Utterance], Samples] = lambda utterance: load_audio(Path(utterance.audio)),
) -> Evaluation:
    """Recognises every utterance as a stream, several at a time, and counts word errors.

    Args:
        recognizer: Its chunk size decides the latency that is evaluated.
        utterances: With reference texts.
        progress: Called with (done, total).
        load: Gives an utterance's samples; its time does not count.

    Raises:
        AsrError: before anything is recognised, if no utterance has a reference with a word, or one a letter that has
            no reading, naming it.
        ValueError: naming an audio file that cannot be read: a score over fewer files would not be comparable.
    """
    scored = [u for u in utterances if u.text]
    if not scored:
        raise AsrError("expected utterances with a reference text, got none")
    references = {u.id: _normalised(u) for u in scored}
    if not any(references.values()):
        raise AsrError("expected references with words, got none")
    by_id = {u.id: u for u in scored}
    audio_seconds = loading = 0.0

    def opened(utterance: Utterance) -> Callable[[], Iterator[Samples]]:
        def read() -> Iterator[Samples]:
            nonlocal audio_seconds, loading
            started = time.perf_counter()
            samples = load(utterance)
            loading += time.perf_counter() - started
            audio_seconds += len(samples) / 16_000
            yield samples

        return read

    recognizer.warm_up()
    started = time.perf_counter()
    hypotheses: dict[str, str] = {}
    ordered = sorted(scored, key=lambda u: u.seconds)  # similar lengths share a batch
    with closing(recognise_all(recognizer, ((u.id, opened(u)) for u in ordered))) as results:
        for key, result in results:
            if isinstance(result, ValueError):
                raise result
            hypotheses[key] = result.text
            progress(len(hypotheses), len(scored))
    compute = time.perf_counter() - started - loading
    texts = tuple((u.id, u.transcript, hypotheses[u.id]) for u in scored)
    speakers = {}
    for speaker in sorted({u.speaker for u in scored}):
        rows = [key for key in hypotheses if by_id[key].speaker == speaker]
        if any(references[key] for key in rows):  # a rate over no words is none
            speakers[speaker] = word_errors([references[key] for key in rows], [hypotheses[key] for key in rows])
    errors = word_errors([r for _, r, _ in texts], [h for _, _, h in texts])
    return Evaluation(errors, speakers, len(texts), audio_seconds, compute, texts)


def _normalised(utterance: Utterance) -> str:
    try:
        return normalise(utterance.transcript)
    except TextError as error:
        raise AsrError(f"{utterance.id}: {error}") from error
