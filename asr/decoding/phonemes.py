"""Phonemes for a search of words outside the compiled step, beside the greedy search's labels.

Letters: B streams, W encoder frames per block, C encoder frames, D width, J joint width, P phonemes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from asr.decoding.greedy import GreedySearch
from asr.decoding.heads import Head, frames_of
from asr.decoding.hypotheses import Hypotheses
from asr.decoding.phrases import PhraseTables
from asr.decoding.words import WordRule
from asr.transducer.model import Transducer

if TYPE_CHECKING:  # Numba takes its time
    from asr.language.phonetic import PhoneticWords


class PhonemeSearch:
    """Decodes blocks greedily and hands on what the phoneme head says of them.

    Args:
        model: The transducer, whose weights do not change any more.
        words: The search of words, outside the step.

    Raises:
        ValueError: if the model has no phoneme head.
    """

    def __init__(self, model: Transducer, words: "PhoneticWords") -> None:
        """Keeps the parts."""
        if not model.config.phonemes:
            raise ValueError("expected a model with phonemes")
        self.model, self.head = model, Head.phonemes
        self.width = 2 * model.joint.joint_dim  # of keys and values, which the greedy search takes
        self._greedy, self.words = GreedySearch(model), words
        self.constants = self._greedy.constants

    @property
    def word_rule(self) -> WordRule:
        """How its labels become word times and confidences."""
        return self.model.phonetic_rule

    def hypotheses(self, frame_ms: int, phrases: Sequence[str] = (), weight: float = 0.0) -> Hypotheses:
        """What takes the outputs of a stream: see `PhoneticWords.hypotheses`."""
        return self.words.hypotheses(frame_ms, phrases, weight)

    @property
    def phrase_words(self) -> None:
        """The search of words follows phrases, not the step."""

    @property
    def identity(self) -> str:
        """What of the search is part of a program besides its variables and `constants`."""
        return f"phonemes and {self._greedy.identity}"

    @property
    def variables(self) -> list[keras.Variable]:
        """All that it may read."""
        return self._greedy.variables

    def frames(self, lower: Any, upper: Any) -> Any:
        """What `block` takes of encoder frames: [B, 2C, D] and [B, C, D] -> [B, C, 2J + 2 (P + 1)].

        Behind the joint's keys and values are the phonemes' log-probabilities, blank last, at each of two frames.
        """
        return frames_of(self.model, self.head, lower, upper)

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new streams: the greedy search's."""
        return self._greedy.initial_state(batch)

    def nothing(self, batch: int, size: int) -> dict[str, Any]:
        """What `block` gives, all zero, for `batch` streams and blocks of `size` frames."""
        phonemes = ops.zeros((batch, 2 * size, self.model.config.phonemes + 1))
        return self._greedy.nothing(batch, size) | {"phonemes": phonemes, "heard": ops.zeros((batch,), "bool")}

    def block(
        self,
        frames: Any,
        state: dict[str, Any],
        active: Any,
        end_bias: Any,
        phrases: PhraseTables | None = None,
        lists: Any = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Decodes one block of every active stream.

        Args:
            frames: [B, W, 2J + 2 (P + 1)] from `frames`.
            state: From `initial_state` or the block before.
            active: [B] bool, streams that have a block now.
            end_bias: As `decode_block` takes it.
            phrases: Not followed: the search of words follows them.
            lists: Not followed.

        Returns:
            The next state and outputs as of `decode_block`, and besides "phonemes" [B, 2W, P + 1] float32, each one's
            log-probability at frames of 40 ms, blank last, and "heard" [B] bool, the streams of which they are; of the
            others they tell nothing.
        """
        state, found = self._greedy.block(frames[..., : self.width], state, active, end_bias)
        shape = (-1, 2 * frames.shape[1], self.model.config.phonemes + 1)
        return state, found | {"phonemes": ops.reshape(frames[..., self.width :], shape), "heard": active}
