"""Greedy decoding of whole recordings, label after label, keeping where each looked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.encoder.encoder import FRAMES_PER_STEP
from asr.encoder_decoder.decoder import Memory
from asr.encoder_decoder.model import EncoderDecoder
from asr.tokenizer import Tokenizer
from asr.training.compiled import compiled

LABELS_PER_FRAME = 0.75  # of 80 ms, at most: a decoder that has lost its place would never end


@dataclass(frozen=True)
class Found:
    """What was recognised in a recording.

    Attributes:
        labels: U wordpieces.
        weights: [U, S] of each label's attention over the encoder's frames of 80 ms.
    """

    labels: tuple[int, ...]
    weights: NDArray[np.float32]


class GlobalDecoder:
    """Decodes batches of whole recordings.

    Args:
        model: Encoder and decoder.
        tokenizer: Its wordpieces.
    """

    def __init__(self, model: EncoderDecoder, tokenizer: Tokenizer) -> None:
        """Compiles nothing yet: each shape is traced when it first comes."""
        self.model, self.tokenizer = model, tokenizer
        self._encode, self._step = compiled(self._encoded, model), compiled(self._advance, model)

    def _encoded(self, frames: Any, lengths: Any) -> Any:
        encoded = self.model(frames, lengths, chunk=frames.shape[1] // FRAMES_PER_STEP)
        memory = self.model.decoder.memory(encoded, lengths // FRAMES_PER_STEP)
        return tuple(memory), self.model.decoder.initial_state(memory)

    def _advance(self, label: Any, state: Any, memory: Any) -> Any:
        logits, state, weights = self.model.decoder.step(label, state, Memory(*memory))
        return ops.cast(ops.argmax(logits, axis=-1), "int32"), state, weights

    def recognise(self, frames: NDArray[np.float32], lengths: NDArray[np.int32]) -> list[Found]:
        """Labels and weights of each recording.

        Args:
            frames: [B, T, 80] log-mel, T a multiple of 8, silence past each end.
            lengths: [B] frames of each recording; 0: nothing is said in it.
        """
        steps = -(-lengths // FRAMES_PER_STEP)
        end = self.model.config.vocabulary
        memory, state = self._encode(frames, ops.convert_to_tensor(steps * FRAMES_PER_STEP, "int32"))
        labels, weights = np.full((len(lengths), 1), end, np.int32), []
        limits = (steps * LABELS_PER_FRAME).astype(int)
        alive = limits > 0
        while alive.any():
            label, state, looked = self._step(ops.convert_to_tensor(labels[:, -1]), state, memory)
            count = labels.shape[1]
            following = np.where(alive, np.asarray(label), end)
            alive = alive & (following != end) & (count < limits)
            labels = np.concatenate([labels, following[:, None].astype(np.int32)], axis=1)
            weights.append(np.asarray(looked))
        return [_found(labels[i, 1:], end, weights, i, int(n)) for i, n in enumerate(steps)]

    def __call__(self, frames: NDArray[np.float32], lengths: NDArray[np.int32]) -> list[dict[str, str]]:
        """Texts of each recording, as `word_error_rates` takes them: arguments as `recognise`."""
        return [{"decoder": self.tokenizer.decode(found.labels)} for found in self.recognise(frames, lengths)]


def _found(labels: NDArray[np.int32], end: int, weights: list[NDArray[np.float32]], row: int, steps: int) -> Found:
    count = int((labels != end).sum())
    looked = [w[row, :steps] for w in weights[:count]]
    return Found(tuple(int(i) for i in labels[:count]), np.array(looked, np.float32).reshape(count, steps))
