"""The peer: pocketsphinx with the English model that it carries, and ours, on the same recordings, one at a time.

Ours greedily, and with the beam and the words that the model names.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.engine_kind import PHONETIC, EngineKind
from asr.evaluate import word_errors
from asr.evaluation.report import decoder_name
from asr.features import SAMPLE_RATE
from asr.streaming.recognizer import Recognizer
from data.audio import load_audio
from data.manifest import read_manifest
from tests.bench.steps import SAMPLES

PEER = "pocketsphinx"


@dataclass(frozen=True)
class Peer:
    """What a recogniser made of the recordings.

    Attributes:
        name: Of the recogniser.
        wer: Word error rate.
        rtf: Wall-clock time by audio time; models were loaded and programs compiled before.
        audio_s: Length of the recordings.
        cpu: Processor time of all threads by audio time: ours has as many as there are processors, the peer one.
    """

    name: str
    wer: float
    rtf: float
    audio_s: float
    cpu: float


def compare(manifest: Path = SAMPLES, engine: EngineKind = EngineKind.xla, chunk_ms: int = 320) -> list[Peer]:
    """Ours and pocketsphinx on the recordings of a manifest that have references."""
    utterances = [u for u in read_manifest(manifest) if u.text]
    audio = [load_audio(Path(u.audio)) for u in utterances]
    references = [u.transcript for u in utterances]
    found = []
    for beam in (1, 16, PHONETIC):
        name = f"earshot {engine}, {chunk_ms} ms, {decoder_name(beam)}"
        found.append(_measured(name, ours(engine, chunk_ms, beam), audio, references))
    return [*found, _measured(PEER, pocketsphinx(), audio, references)]


def ours(engine: EngineKind, chunk_ms: int, beam: int) -> Callable[[NDArray[np.float32]], str]:
    """Recognises a recording with the bundled model."""
    recognizer = Recognizer(chunk_ms=chunk_ms, engine=engine, beam=beam)
    recognizer.warm_up()
    return lambda samples: recognizer.transcribe(samples).text


def pocketsphinx() -> Callable[[NDArray[np.float32]], str]:
    """Recognises a recording with the defaults of the package: its own model, dictionary and language model."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def recognise(samples: NDArray[np.float32]) -> str:
        decoder.start_utt()
        decoder.process_raw((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return "" if found is None else str(found.hypstr)

    return recognise


def _measured(
    name: str,
    recognise: Callable[[NDArray[np.float32]], str],
    audio: list[NDArray[np.float32]],
    references: list[str],
) -> Peer:
    recognise(audio[0])
    started, before = time.perf_counter(), time.process_time()
    texts = [recognise(samples) for samples in audio]
    taken, cpu_s = time.perf_counter() - started, time.process_time() - before
    seconds = sum(len(samples) for samples in audio) / SAMPLE_RATE
    wer = round(word_errors(references, texts).wer, 4)
    return Peer(name, wer, round(taken / seconds, 5), round(seconds, 1), round(cpu_s / seconds, 5))
