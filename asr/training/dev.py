"""Word error rate on development data during training, decoding whole recordings in batches.

Decoded greedily, whatever beam the model will be used with. The words are those that streaming would give
so at the same chunk size (a test holds the two together).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jiwer
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.decoding.greedy import decode_block, initial_state
from asr.encoder.encoder import FRAMES_PER_STEP
from asr.encoder.subsampling import STRIDE
from asr.tokenizer import CHARACTERS, Tokenizer
from asr.training.compiled import compiled
from asr.training.pronunciations import Pronunciations
from asr.transducer.joint import MAX_BLOCK
from asr.transducer.model import Transducer
from data.cache import FeatureCache
from data.manifest import Utterance

BATCH_FRAMES = 16_384  # log-mel frames decoded at a time


def ctc_labels(logits: NDArray[np.float32], length: int) -> list[int]:
    """Best path of [S, V + 1] CTC logits: repeats joined, blanks (the last symbol) left out."""
    best = logits[:length].argmax(-1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])[:length]  # no frame: nothing is said
    return [int(i) for i in best[changed] if i != logits.shape[1] - 1]


class DevDecoder:
    """Decodes batches of whole recordings with the model's heads.

    Args:
        model: The transducer.
        tokenizer: Its wordpieces.
        chunk: Encoder frames per chunk.
        pronunciations: Phonemes of its phoneme head; None: it has none, or that is not decoded.
    """

    def __init__(
        self,
        model: Transducer,
        tokenizer: Tokenizer,
        chunk: int = MAX_BLOCK,
        pronunciations: Pronunciations | None = None,
    ) -> None:
        """Compiles nothing yet: each shape is traced when it first comes."""
        self.model, self.tokenizer, self.chunk = model, tokenizer, chunk
        self.pronunciations = pronunciations
        self._encode, self._decode = compiled(self._encoded, model), compiled(self._block, model)

    def _encoded(self, frames: Any, lengths: Any) -> Any:
        lower, upper = self.model(frames, lengths, chunk=self.chunk)
        heads = [self.model.characters(lower), self.model.pieces(upper)]
        if self.pronunciations is not None:
            heads.append(self.model.phoneme_logits(lower, upper))
        return self.model.joint.frames(ops.cast(upper, "float32")), *(ops.cast(head, "float32") for head in heads)

    def _block(self, frames: Any, state: Any, active: Any) -> Any:
        return decode_block(self.model, frames, state, active, 0.0)

    def __call__(self, frames: NDArray[np.float32], lengths: NDArray[np.int32]) -> list[dict[str, str]]:
        """Texts of each recording by head: "characters", "pieces" (CTC), "transducer" and perhaps "phonemes" (CTC).

        Args:
            frames: [B, T, 80] log-mel, T a multiple of 64, silence past each end.
            lengths: [B] frames of each recording.
        """
        block = min(self.chunk, MAX_BLOCK)
        unit = FRAMES_PER_STEP * block
        lengths = -(-lengths // unit) * unit
        keys, *heads = self._encode(frames, ops.convert_to_tensor(lengths, "int32"))
        labels: list[list[int]] = [[] for _ in lengths]
        state = initial_state(self.model, len(lengths))
        for n in range(keys.shape[1] // block):
            active = ops.convert_to_tensor(n * unit < lengths)
            state, out = self._decode(keys[:, n * block : (n + 1) * block], state, active)
            for row, found in enumerate(np.asarray(out["labels"])):
                labels[row] += [int(i) for i in found if i >= 0]
        characters, pieces, *phonemes = (np.asarray(head) for head in heads)
        results = []
        for i, n in enumerate(int(n) for n in lengths):
            found = {
                "characters": "".join(CHARACTERS[c] for c in ctc_labels(characters[i], n // STRIDE)).strip(),
                "pieces": self.tokenizer.decode(ctc_labels(pieces[i], n // FRAMES_PER_STEP)),
                "transducer": self.tokenizer.decode(labels[i]),
            }
            if self.pronunciations is not None:
                found["phonemes"] = self.pronunciations.written(ctc_labels(phonemes[0][i], n // STRIDE))
            results.append(found)
        return results


def word_error_rates(
    decoder: Callable[[NDArray[np.float32], NDArray[np.int32]], list[dict[str, str]]],
    utterances: Sequence[Utterance],
    features: FeatureCache,
    fill: float,
    pronunciations: Pronunciations | None = None,
) -> dict[str, float]:
    """Word error rate of each of the decoder's heads, of "phonemes" that of the phonemes.

    Args:
        decoder: Decodes batches, as `DevDecoder` does.
        utterances: With transcripts.
        features: Their frames, by utterance id.
        fill: Value of frames past the end: that of digital silence.
        pronunciations: Phonemes of the phoneme head, if it is decoded.
    """
    texts: dict[str, list[str]] = {}
    references: list[str] = []
    counts = [features.spans[u.id][1] for u in utterances]
    for rows in batches_by_length(counts, BATCH_FRAMES):
        length = padded(max(counts[i] for i in rows))
        size = max(len(rows), BATCH_FRAMES // length)  # rows past the batch are silence: one shape a length
        frames = np.full((size, length, features.frames.shape[1]), fill, np.float32)
        lengths = np.zeros(size, np.int32)
        for row, i in enumerate(rows):
            lengths[row] = counts[i]
            frames[row, : counts[i]] = features[utterances[i].id]
        for i, found in zip(rows, decoder(frames, lengths), strict=False):
            references.append(utterances[i].transcript)
            for head, text in found.items():
                texts.setdefault(head, []).append(text)
    expected: dict[str, list[str]] = {}
    if pronunciations is not None:
        expected["phonemes"] = [pronunciations.reference(text) for text in references]
    return {head: float(jiwer.wer(expected.get(head, references), found)) for head, found in texts.items()}


def batches_by_length(frame_counts: Sequence[int], batch_frames: int) -> list[list[int]]:
    """Indices in batches of similar length, each at most `batch_frames` frames with padding (or one recording)."""
    batches: list[list[int]] = []
    for i in sorted(range(len(frame_counts)), key=lambda i: frame_counts[i]):
        if batches and (len(batches[-1]) + 1) * padded(frame_counts[i]) <= batch_frames:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def padded(frames: int, unit: int = 256) -> int:
    """Frames rounded up to a multiple of `unit`: few shapes are traced."""
    return -(-frames // unit) * unit
