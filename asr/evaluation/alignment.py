"""When each word was said, by a recogniser that is not ours: pocketsphinx's forced alignment.

It needs the package pocketsphinx with its English model (the extra `dev`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError

FRAME_MS = 10  # of pocketsphinx
SCALE = 32_767


@dataclass(frozen=True)
class Said:
    """A word of a transcript and when it was said.

    Attributes:
        word: Its text.
        start_ms: Start.
        end_ms: End.
    """

    word: str
    start_ms: int
    end_ms: int


class Aligner:
    """Aligns transcripts with recordings.

    Raises:
        AsrError: if pocketsphinx is not installed.
    """

    def __init__(self) -> None:
        """Loads pocketsphinx's English model and dictionary."""
        try:
            import pocketsphinx
        except ModuleNotFoundError as error:
            raise AsrError("word times are measured against pocketsphinx: pip install pocketsphinx") from error
        self._decoder: Any = pocketsphinx.Decoder(lm=None, loglevel="FATAL", beam=1e-80, pbeam=1e-80, wbeam=1e-60)

    def align(self, samples: NDArray[np.float32], words: Sequence[str]) -> list[Said] | None:
        """Times of a transcript's words; None if it cannot be aligned.

        Args:
            samples: [n] at 16 kHz.
            words: Normalised; one that is not in pocketsphinx's dictionary cannot be aligned, nor the others with it.
        """
        if not words or any(self._decoder.lookup_word(word) is None for word in words):
            return None
        self._decoder.set_align_text(" ".join(words))
        self._decoder.start_utt()
        pcm = (np.clip(samples, -1.0, 1.0) * SCALE).astype("<i2").tobytes()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        found = [
            Said(segment.word.split("(")[0], segment.start_frame * FRAME_MS, (segment.end_frame + 1) * FRAME_MS)
            for segment in self._decoder.seg() or ()
            if not segment.word.startswith(("<", "[", "+", "("))
        ]
        return found if [said.word for said in found] == list(words) else None
