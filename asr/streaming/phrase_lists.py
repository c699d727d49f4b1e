"""The lists of phrases that streams follow now: on the device once, however many streams share one."""

from collections.abc import Sequence

from asr.decoding.phrases import (
    NODES,
    PHRASE_WEIGHT,
    PhraseTables,
    PhraseWords,
    compile_phrases,
    no_phrases,
    stacked,
)
from asr.errors import AsrError
from asr.tokenizer import Tokenizer

LISTS = 16  # different ones at a time; 512 KiB each with 256 wordpieces


class PhraseListsFull(AsrError):
    """Other lists have all places."""


class PhraseLists:
    """Places for lists; the tables' shapes never change, so that nothing is compiled again.

    Args:
        tokenizer: Wordpieces.
        lists: Different lists at a time; 0: none can be followed.
        weight: Bonus of a wordpiece, in nats.
        words: Of the search's language model (`BeamSearch.phrase_words`); None: none.

    Attributes:
        lists: Different lists at a time.
        weight: Bonus of a wordpiece.
        words: Of the search's language model.
        tables: What the compiled step reads; another object whenever a list is added.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        lists: int = LISTS,
        weight: float = PHRASE_WEIGHT,
        words: PhraseWords | None = None,
    ) -> None:
        """Starts with the empty list, which is always there, at 0."""
        if not 0.0 <= weight < float("inf"):
            raise AsrError(f"phrase_weight: expected a number of 0 or more, got {weight}")
        self.tokenizer, self.lists, self.weight, self.words = tokenizer, lists, weight, words
        empty = no_phrases(len(tokenizer), NODES if lists else 1)
        self._lists = [empty] * (1 + lists)
        self._names: list[tuple[str, ...] | None] = [(), *[None] * lists]
        self._users = [1] + [0] * lists
        self.tables: PhraseTables = stacked(self._lists, tokenizer)

    def take(self, phrases: Sequence[str]) -> int:
        """The place of a list, for a stream that follows it until `release`.

        Raises:
            AsrError: if a phrase cannot be said, or there are too many.
            PhraseListsFull: if other lists have all places.
        """
        name = tuple(dict.fromkeys(phrases))
        if name in self._names:
            place = self._names.index(name)
        elif not self.lists:
            raise AsrError("phrases: expected none: this recogniser was made without lists of phrases")
        else:
            compiled = compile_phrases(name, self.tokenizer, self.weight, words=self.words)
            place = self._free()
            self._lists[place], self._names[place] = compiled, name
            self.tables = stacked(self._lists, self.tokenizer)
        self._users[place] += 1
        return place

    def release(self, place: int) -> None:
        """One stream less follows the list; it stays until its place is needed."""
        self._users[place] -= 1

    def _free(self) -> int:
        for place, users in enumerate(self._users[1:], 1):  # the first is always the empty list
            if not users:
                return place
        most = len(self._lists) - 1
        raise PhraseListsFull(
            f"phrases: expected at most {most} different lists at a time, all are in use; try again later"
        )
