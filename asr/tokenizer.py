"""Text to labels and back: wordpieces (sentencepiece) for the transducer, characters for the lower CTC head."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from asr.errors import AsrError, CheckpointError

CHARACTERS = " '" + "abcdefghijklmnopqrstuvwxyz"  # symbols of the character head, in order
WORD_START = "▁"  # sentencepiece's mark of a space before a piece


class Tokenizer:
    """Wordpieces of a sentencepiece model.

    Args:
        model: The serialised sentencepiece model.

    Raises:
        CheckpointError: if it is not one.
    """

    def __init__(self, model: bytes) -> None:
        """Loads the model."""
        try:
            if not model:  # which the library takes for no model yet
                raise RuntimeError("empty")
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise CheckpointError(f"expected a sentencepiece model, got {len(model)} other bytes") from error
        self.model = model
        self.texts = [self._pieces.id_to_piece(i) for i in range(len(self))]

    def __len__(self) -> int:
        """V, the number of wordpieces."""
        return int(self._pieces.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """Wordpieces of a normalised text."""
        return list(self._pieces.encode(text))

    def decode(self, pieces: Sequence[int]) -> str:
        """Text of wordpieces; a word's space is where its first piece says so.

        Raises:
            AsrError: for a number that is no wordpiece, such as the -1 of the step's empty places.
        """
        for piece in pieces:
            if not 0 <= piece < len(self.texts):
                raise AsrError(f"expected wordpieces from 0 to {len(self.texts) - 1}, got {piece}")
        words = "".join(self.texts[p] for p in pieces).replace(WORD_START, " ").split(" ")
        return " ".join(word for word in words if word)  # a lone mark, and another after it, are one space

    def starts_word(self, piece: int) -> bool:
        """Whether the piece begins a new word."""
        return self.texts[piece].startswith(WORD_START)


def characters(text: str) -> list[int]:
    """Symbols of a normalised text for the character head.

    Raises:
        AsrError: naming the first character that is not in `CHARACTERS`.
    """
    try:
        return [CHARACTERS.index(c) for c in text]
    except ValueError:
        bad = next(c for c in text if c not in CHARACTERS)
        raise AsrError(f"expected normalised text of a–z, apostrophe and space, got {bad!r} in {text!r}") from None


def train_tokenizer(sentences: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learns wordpieces by byte-pair encoding (Sennrich et al. 2016, 1508.07909).

    Args:
        sentences: Normalised texts.
        vocabulary: V, the unknown symbol (never used: every character is covered) included.

    Raises:
        AsrError: if the texts have not as many different pieces.
    """
    buffer = _Buffer()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=buffer,
            vocab_size=vocabulary,
            model_type="bpe",
            character_coverage=1.0,
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise AsrError(f"vocabulary: expected as many pieces as the texts have, got {vocabulary}: {error}") from error
    return Tokenizer(bytes(buffer.data))


class _Buffer:
    """What sentencepiece writes its model to."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, part: bytes) -> None:
        self.data += part


def read_tokenizer(path: Path) -> Tokenizer:
    """Reads a tokenizer from a sentencepiece model file; raises CheckpointError if it is missing or damaged."""
    try:
        return Tokenizer(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
